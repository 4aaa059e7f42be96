"""An HTTP proxy that delays, corrupts, cuts or refuses requests."""

import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

PATIENCE_S = 60


class FaultyProxy(BaseHTTPRequestHandler):
    """Forwards requests and responses, with the faults that the server's `plan` returns."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (OSError, HTTPException):
            # cut on purpose, or the upstream server was killed
            self.close_connection = True

    def _pass(self) -> None:
        """Forward a request; `refused` collects the server's responses with status 400."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.plan(self.command, self.path, len(body)) or {}
        if pause_s := fault.get("pause_s"):
            time.sleep(pause_s)
        if code := fault.get("status"):
            return self._answer(code, {}, f"<Error><Code>{fault['code']}</Code></Error>".encode())
        if "corrupt" in fault and body:
            place = fault["corrupt"] % len(body)
            body = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        upstream = HTTPConnection("127.0.0.1", self.server.upstream, timeout=PATIENCE_S)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            if "cut_request" in fault:
                upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in headers.items():
                    upstream.putheader(name, value)
                upstream.endheaders(body[: fault["cut_request"] % (len(body) or 1)])
                return self._cut()
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        if answer.status == 400:
            self.server.refused.append(content.decode())
        self._answer(answer.status, dict(answer.headers), content, fault.get("cut_answer"))

    def _answer(self, status: int, headers: dict[str, str], content: bytes, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                self.send_header(name, value)
        length = headers.get("Content-Length", len(content)) if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length))
        if cut is not None:
            return self._cut()
        self.end_headers()
        self.wfile.write(content)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815 - names that http.server calls

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def proxy(server: Any) -> Iterator[Any]:
    """A proxy in front of the server; `proxy.plan(method, path, size)` returns the fault of a request."""
    listener = ThreadingHTTPServer(("127.0.0.1", 0), FaultyProxy)
    listener.daemon_threads = True
    listener.upstream = server.port  # type: ignore[attr-defined]
    listener.plan = lambda *_: None  # type: ignore[attr-defined]
    listener.refused = []  # type: ignore[attr-defined]
    listener.address = f"http://127.0.0.1:{listener.server_port}"  # type: ignore[attr-defined]
    thread = Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield listener
    listener.shutdown()
    listener.server_close()
    thread.join()
