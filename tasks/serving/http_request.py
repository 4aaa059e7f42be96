"""One request to the page's server: its visitor, its body, and the response of the application behind the filter."""

import json
import secrets
from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tasks.serving.request_checks import NAME

# a question, its earlier rounds and what JSON adds to them
MAX_BODY_BYTES = 1_000_000
BODY_HEADERS = (b"content-length", b"content-type", b"transfer-encoding", b"accept-encoding")
VISITOR = "rsvlm-visitor"
VISITOR_HEADER = "x-rsvlm-visitor"


class FilteredRequest:
    """A request on its way through the filter to the application behind it.

    `visitor` is the value of a cookie, or the address of a client that keeps no cookies.
    """

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send):
        self._app, self.scope, self.receive, self._send = app, _filtered_scope(scope), receive, send
        scope = self.scope
        self.request = Request(scope, receive)
        self.address = scope["client"][0] if scope.get("client") else ""
        cookie = self.request.cookies.get(VISITOR, "")
        self._is_new = not NAME.fullmatch(cookie)
        self.visitor = f"address {self.address}" if self._is_new else cookie
        scope["headers"] = [*scope["headers"], (VISITOR_HEADER.encode(), self.visitor.encode())]

    async def body(self) -> bytes:
        """The body of a request that is not an upload; raises HTTPException if it is too large."""
        body = bytearray()
        async for chunk in self.request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise HTTPException(413, f"At most {MAX_BODY_BYTES:,} bytes can be sent here.")
        return bytes(body)

    async def send(self, message: Message) -> None:
        """Send a message of the response; a new browser gets a visitor cookie with it."""
        if message["type"] == "http.response.start" and self._is_new:
            cookie = f"{VISITOR}={secrets.token_urlsafe(16)}; Path=/; HttpOnly; SameSite=Strict"
            message["headers"] = [*message.get("headers", ()), (b"set-cookie", cookie.encode())]
        await self._send(message)

    async def pass_on(self) -> Response | None:
        """Let the application answer a request without a body; returns None, as nothing is left to send."""
        await self._app(self.scope, self.receive, self.send)
        return None

    async def respond_to(self, body: bytes, content_type: str | None = "application/json") -> Response:
        """The application's response to a body in place of the one that was sent; None keeps the content type."""
        headers = [header for header in self.scope["headers"] if header[0] not in BODY_HEADERS]
        kind = self.request.headers.get("content-type", "") if content_type is None else content_type
        added = [(b"content-length", str(len(body)).encode()), (b"content-type", kind.encode("latin-1"))]
        scope = {**self.scope, "headers": [*headers, *added]}
        sent: list[Message] = []
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return messages.pop() if messages else await self.receive()

        async def collect(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, collect)
        return _response_of(sent)


def refusal(status: int, sentence: str) -> Response:
    """A refusal in the form that Gradio's clients expect: with status 422, in a list of validation errors."""
    invalid = {"__type__": "validate", "is_valid": False, "parameter_name": "request", "message": sentence}
    return JSONResponse({"detail": [invalid] if status == 422 else sentence, "error": sentence}, status)


def _response_of(sent: Sequence[Message]) -> Response:
    start = next(message for message in sent if message["type"] == "http.response.start")
    response = Response(b"".join(message.get("body", b"") for message in sent), start["status"])
    response.raw_headers = list(start["headers"])
    if response.status_code == 500 and (error := _error_in(response)) is not None:
        # Gradio reports every refusal as status 500 with a sentence; a real failure has none
        return refusal(422, error)
    return response


def _error_in(response: Response) -> str | None:
    try:
        error = json.loads(bytes(response.body))["error"]
    except (ValueError, LookupError, TypeError):
        return None
    return error if isinstance(error, str) else None


def _filtered_scope(scope: Scope) -> Scope:
    # ranges are of no use for small files, and only the filter may say who a visitor is
    dropped = (b"range", VISITOR_HEADER.encode())
    return {**scope, "headers": [header for header in scope["headers"] if header[0] not in dropped]}
