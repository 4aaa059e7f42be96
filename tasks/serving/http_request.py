"""One request to the page's server: who makes it, what it brings, and what is answered to it."""

import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tasks.serving.request_checks import NAME

App = Callable[[Any, Any, Any], Awaitable[None]]
Scope = MutableMapping[str, Any]
# a question, its rounds and what JSON adds to them
MAX_JSON = 1_000_000
OF_THE_BODY = (b"content-length", b"content-type", b"transfer-encoding", b"accept-encoding")
VISITOR = "rsvlm-visitor"
VISITOR_HEADER = "x-rsvlm-visitor"


class Visit:
    """A request: who makes it, what it brings, and what the application behind the gate says to it."""

    def __init__(self, app: App, scope: Scope, receive: Any, send: Any):
        self._app, self.scope, self.receive, self._send = app, _plain_scope(scope), receive, send
        scope = self.scope
        self.request = Request(scope, receive)
        self.address = scope["client"][0] if scope.get("client") else ""
        given = self.request.cookies.get(VISITOR, "")
        self._is_new = not NAME.fullmatch(given)
        # a program that keeps no cookies is known by its address
        self.visitor = f"address {self.address}" if self._is_new else given
        scope["headers"] = [*scope["headers"], (VISITOR_HEADER.encode(), self.visitor.encode())]

    async def body(self) -> bytes:
        """What was sent, where it is no file; raises HTTPException where it is too much."""
        body = bytearray()
        async for chunk in self.request.stream():
            body += chunk
            if len(body) > MAX_JSON:
                raise HTTPException(413, f"At most {MAX_JSON:,} bytes can be sent here.")
        return bytes(body)

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Answer; a browser that is new here gets a name to be known by."""
        if message["type"] == "http.response.start" and self._is_new:
            cookie = f"{VISITOR}={secrets.token_urlsafe(16)}; Path=/; HttpOnly; SameSite=Strict"
            message["headers"] = [*message.get("headers", ()), (b"set-cookie", cookie.encode())]
        await self._send(message)

    async def pass_on(self) -> Response | None:
        """Let the application answer a request that has no body; there is nothing more to answer then."""
        await self._app(self.scope, self.receive, self.send)
        return None

    async def answer(self, body: bytes, kind: str | None = "application/json") -> Response:
        """What the application answers to a body in place of the one that was sent."""
        headers = [header for header in self.scope["headers"] if header[0] not in OF_THE_BODY]
        kind = self.request.headers.get("content-type", "") if kind is None else kind
        made = [(b"content-length", str(len(body)).encode()), (b"content-type", kind.encode("latin-1"))]
        scope = {**self.scope, "headers": [*headers, *made]}
        heard: list[MutableMapping[str, Any]] = []
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> MutableMapping[str, Any]:
            return messages.pop() if messages else await self.receive()

        async def hear(message: MutableMapping[str, Any]) -> None:
            heard.append(message)

        await self._app(scope, receive, hear)
        return _response_of(heard)


def refusal(status: int, sentence: str) -> Response:
    """A refusal, as Gradio's clients look for it: with 422, in a list of what is not valid."""
    invalid = {"__type__": "validate", "is_valid": False, "parameter_name": "request", "message": sentence}
    return JSONResponse({"detail": [invalid] if status == 422 else sentence, "error": sentence}, status)


def _response_of(heard: Sequence[MutableMapping[str, Any]]) -> Response:
    start = next(message for message in heard if message["type"] == "http.response.start")
    response = Response(b"".join(message.get("body", b"") for message in heard), start["status"])
    response.raw_headers = list(start["headers"])
    if response.status_code == 500 and (error := _told_in(response)) is not None:
        # Gradio says so of whatever is refused; what goes wrong here has no sentence
        return refusal(422, error)
    return response


def _told_in(response: Response) -> str | None:
    try:
        error = json.loads(bytes(response.body))["error"]
    except (ValueError, LookupError, TypeError):
        return None
    return error if isinstance(error, str) else None


def _plain_scope(scope: Scope) -> Scope:
    # a part of a small file has no use here, and only the gate says who a visitor is
    dropped = (b"range", VISITOR_HEADER.encode())
    return {**scope, "headers": [header for header in scope["headers"] if header[0] not in dropped]}
