"""The web server around the page: its socket, its limits and response headers, and its shutdown."""

import errno
import logging
import signal
import socket
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING

from tasks.errors import ConfigError
from tasks.serving.hosts import Hosts
from tasks.serving.http_request import Message

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HIGHEST_PORT = 65_535
# time for open requests at shutdown
GRACE_S = 3
# nothing that a model writes may make a browser fetch anything from elsewhere
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)


def bind_socket(host: str, port: int) -> socket.socket:
    """Bind a socket to host and port, 0 for any free port; raises ConfigError if that is not possible."""
    if not 0 <= port <= HIGHEST_PORT:
        # getaddrinfo would take the port modulo 65,536
        raise ConfigError(f"--port {port} is not a port: give another, from 0 to {HIGHEST_PORT}.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"--host {host} is not an address of this machine ({error}): give another.") from None
    try:
        # the port of a server that has just ended is still in TIME_WAIT
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        # listen now: two servers that reuse addresses could otherwise bind the same port
        bound.listen()
    except OSError as error:
        bound.close()
        reason = "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be bound ({error})"
        raise ConfigError(f"Port {port} of {host} {reason}: give another --port.") from None
    return bound


class LimitsMiddleware:
    """ASGI middleware that checks host and body size of requests and adds security headers to responses."""

    def __init__(self, app: "ASGIApp", max_bytes: int, hosts: Hosts):
        self._app, self._max_bytes, self._hosts = app, max_bytes, hosts

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if reason := self._hosts.reason_to_refuse(scope["headers"]):
            return await _refuse(send, 403, reason)
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._max_bytes:
            return await _refuse(send, 413, f"At most {self._max_bytes} bytes can be sent.")
        received = 0

        async def receive_counted() -> "Message":
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            # a body without a content length is counted while it is read
            return {"type": "http.disconnect"} if received > self._max_bytes else message

        async def send_with_headers(message: "Message") -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        return await self._app(scope, receive_counted, send_with_headers)


async def _refuse(send: "Send", status: int, sentence: str) -> None:
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close"), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})


def serve_until_signal(app: "ASGIApp", bound: socket.socket) -> None:
    """Answer requests until SIGINT or SIGTERM; open requests then have three seconds to end."""
    import uvicorn

    # uvicorn shuts down and raises the signal again, which must have no further effect
    before = {number: signal.signal(number, _ignore) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=GRACE_S
        )
        server = uvicorn.Server(config)
        # streams that are cut off by the shutdown are not errors
        logging.getLogger("uvicorn.error").addFilter(lambda record: not server.should_exit)
        with suppress(KeyboardInterrupt):
            server.run(sockets=[bound])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore(number: int, frame: FrameType | None) -> None:
    pass
