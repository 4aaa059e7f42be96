"""A real HTTP server that misbehaves on request, and counts what it sends."""

import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STALL_ENDS_S = 30


@dataclass
class ServedFile:
    """One file of the server; `acts` are its next misbehaviours, one per request; after them it behaves.

    An act is ("drop", bytes), ("stall", bytes) with seconds or to the end of the test, ("status", code, headers),
    ("length", declared), ("body", new content) or ("fine",).
    """

    content: bytes
    etag: str | None = '"one"'
    last_modified: str | None = None
    ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    acts: list[tuple] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    sent_bytes: int = 0


class FaultyServer:
    """Serves `files` by path on the loopback interface; `url` gives the URL of a path."""

    def __init__(self) -> None:
        self.files: dict[str, ServedFile] = {}
        self.ended = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def add(self, path: str, content: bytes, **changes) -> ServedFile:
        self.files[path] = ServedFile(content, **changes)
        return self.files[path]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FaultyServer

    def log_message(self, *arguments) -> None:
        return

    def do_HEAD(self) -> None:
        served = self.owner.files.get(self.path)
        self.send_response(200 if served else 404)
        for name, value in (served.headers if served else {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(served.content)) if served else "0")
        self.end_headers()

    def do_GET(self) -> None:
        served = self.owner.files.get(self.path)
        self.close_connection = True
        if served is None:
            self.send_error(404)
            return
        served.requests.append({key.lower(): value for key, value in self.headers.items()})
        act = served.acts.pop(0) if served.acts else ("fine",)
        if act[0] == "status":
            self.send_response_only(act[1])
            for name, value in act[2].items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if act[0] == "body":
            served.content, served.etag = act[1], f'"{len(act[1])}-{act[1][:4].hex()}"'
        self._answer(served, act)

    def _answer(self, served: ServedFile, act: tuple) -> None:
        start = self._start(served)
        if start is not None and start >= len(served.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(served.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = served.content[start or 0 :]
        self.send_response(200 if start is None else 206)
        if start is not None:
            last = len(served.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
        if served.etag:
            self.send_header("ETag", served.etag)
        if served.last_modified:
            self.send_header("Last-Modified", served.last_modified)
        declared = act[1] if act[0] == "length" else len(body)
        self.send_header("Content-Length", str(declared))
        self.end_headers()
        self._send(served, body[: act[1]] if act[0] in ("drop", "stall") else body)
        if act[0] == "stall":
            self.owner.ended.wait(act[2] if len(act) > 2 else STALL_ENDS_S)

    def _start(self, served: ServedFile) -> int | None:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not found or not served.ranges:
            return None
        validator = self.headers.get("If-Range")
        return int(found[1]) if validator in (None, served.etag, served.last_modified) else None

    def _send(self, served: ServedFile, body: bytes) -> None:
        try:
            for start in range(0, len(body), 1 << 14):
                chunk = body[start : start + (1 << 14)]
                self.wfile.write(chunk)
                served.sent_bytes += len(chunk)
        except OSError:
            self.close_connection = True
