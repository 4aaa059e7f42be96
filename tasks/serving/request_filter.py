"""The filter in front of Gradio: only requests that the page or a program needs pass, rebuilt from checked parts."""

import asyncio
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tasks.serving.http_request import FilteredRequest, refusal
from tasks.serving.login import LoginThrottle
from tasks.serving.request_checks import BadRequestError, Endpoint, inputs_for, name_in, parse_object
from tasks.serving.sessions import Sessions
from tasks.serving.uploads import KEPT_S, Uploads

API = "/gradio_api"
# types that a browser displays as nothing but an image
IMAGE_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
}
# what a visitor needs to see the page or its login form
PUBLIC_PATHS = re.compile(
    r"/|/config|/theme\.css|/(?:assets|static|svelte)/[\w./-]+|/favicon\.ico|/robots\.txt|/manifest\.json|/logout"
    rf"|{API}/(?:login_check|app_id|theme\.css)",
    re.ASCII,
)
MEMBER_PATHS = re.compile(rf"{API}/(?:info|user|heartbeat/[\w-]{{1,64}})", re.ASCII)


@dataclass(frozen=True)
class Backend:
    """What is behind the filter: Gradio's application, the page's endpoints, uploads and sessions.

    `is_member` says whether a request has logged in; without a login every request has.
    """

    app: ASGIApp
    endpoints: Sequence[Endpoint]
    uploads: Uploads
    sessions: Sessions
    is_member: Callable[[Request], bool]


class RequestFilter:
    """An ASGI application that answers or refuses a request itself, or passes a rebuilt one on."""

    def __init__(self, backend: Backend):
        self._backend, self._throttle = backend, LoginThrottle()
        self._endpoints = {endpoint.number: endpoint for endpoint in backend.endpoints}
        self._names = {endpoint.name: endpoint for endpoint in backend.endpoints if endpoint.name}
        self._routes = (
            ("GET", rf"{API}/file=(.+)", self._file),
            ("HEAD", rf"{API}/file=(.+)", self._file),
            ("POST", rf"{API}/upload", self._upload),
            ("GET", rf"{API}/upload_progress", self._upload_progress),
            ("POST", rf"{API}/queue/join", self._join),
            ("GET", rf"{API}/queue/data", self._listen),
            ("POST", rf"{API}/run/[\w-]+", self._run),
            ("POST", rf"{API}/call/([\w-]+)", self._call),
            ("GET", rf"{API}/call/[\w-]+/([\w-]+)", self._listen_to_call),
            ("POST", rf"{API}/cancel", self._cancel),
            ("POST", rf"{API}/reset", self._reset),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._backend.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close"})
        request = FilteredRequest(self._backend.app, scope, receive, send)
        try:
            response = await self._respond(request)
        except BadRequestError as error:
            response = refusal(422, str(error))
        except MultiPartException as error:
            response = refusal(400, error.message)
        except ClientDisconnect:
            # by the client, or by the limit on the body's size
            response = refusal(413, "The request is incomplete or too large.")
        except HTTPException as error:
            response = refusal(error.status_code, error.detail)
        if response is not None:
            await response(request.scope, request.receive, request.send)

    async def _respond(self, request: FilteredRequest) -> Response | None:
        method, path = request.scope["method"], request.scope["path"]
        if method == "POST" and path == "/login":
            return await self._login(request)
        if path == "/logout":
            # other visitors with the same login stay logged in
            request.scope["query_string"] = b"all_session=false"
        if method in ("GET", "HEAD") and PUBLIC_PATHS.fullmatch(path) and ".." not in path:
            return await request.pass_on()
        if not self._backend.is_member(request.request):
            return refusal(401, "Not authenticated")
        if method == "GET" and MEMBER_PATHS.fullmatch(path):
            return await request.pass_on()
        for wanted, pattern, respond in self._routes:
            if method == wanted and (found := re.fullmatch(pattern, path, re.ASCII | re.DOTALL)):
                return await respond(request, *found.groups())
        return refusal(404, "There is nothing here.")

    async def _login(self, request: FilteredRequest) -> Response | None:
        body = await request.body()
        async with self._throttle.attempt(request.address) as attempt:
            if attempt is None:
                return refusal(429, "Too many wrong passwords: wait, and try again.")
            response = await request.respond_to(body, content_type=None)
            attempt.succeeded = response.status_code == 200
        return response

    async def _file(self, request: FilteredRequest, path: str) -> Response:
        if not self._backend.uploads.may_read(request.visitor, path) or not Path(path).is_file():
            return refusal(403, "This file is neither one of your uploads nor an example.")
        image_type = IMAGE_TYPES.get(Path(path).suffix.lower())
        return FileResponse(
            path,
            media_type=image_type or "application/octet-stream",
            filename=Path(path).name,
            content_disposition_type="inline" if image_type else "attachment",
        )

    async def _upload(self, request: FilteredRequest) -> Response:
        paths = []
        async with request.request.form(max_files=10, max_fields=10) as form:
            for sent in form.getlist("files"):
                if isinstance(sent, str):
                    raise BadRequestError("files holds text: send a file.")
                paths.append(await run_in_threadpool(self._store, request.visitor, sent))
        if not paths:
            raise BadRequestError("There is no file: send one as files.")
        # delete them in time even if nothing else is uploaded
        asyncio.get_running_loop().call_later(KEPT_S + 1, self._backend.uploads.delete_old)
        return JSONResponse(paths)

    def _store(self, visitor: str, sent: UploadFile) -> str:
        return self._backend.uploads.add(visitor, sent.filename or "", lambda file: copyfileobj(sent.file, file))

    async def _upload_progress(self, request: FilteredRequest) -> Response:
        # empty: an upload is complete when its request is answered
        return Response(media_type="text/event-stream")

    async def _join(self, request: FilteredRequest) -> Response:
        sent = parse_object(await request.body())
        endpoint = self._endpoint(sent, is_queued=True)
        return await self._enqueue(request, endpoint, sent, {"fn_index": endpoint.number})

    async def _call(self, request: FilteredRequest, name: str) -> Response:
        if name not in self._names:
            raise HTTPException(404, f"There is no endpoint of that name: use one of {', '.join(self._names)}.")
        sent = {"session_hash": secrets.token_hex(16), **parse_object(await request.body())}
        return await self._enqueue(request, self._names[name], sent, {})

    async def _enqueue(
        self, request: FilteredRequest, endpoint: Endpoint, sent: Mapping[str, object], more: Mapping[str, int]
    ) -> Response:
        session = name_in(sent, "session_hash")
        body = {"data": self._inputs(request, endpoint, sent), "session_hash": session, **more}
        response = await request.respond_to(json.dumps(body).encode())
        if response.status_code == 503:
            return refusal(429, "Too many questions are waiting: try again later.")
        self._backend.sessions.expect_listener(session)
        return response

    async def _run(self, request: FilteredRequest) -> Response:
        sent = parse_object(await request.body())
        endpoint = self._endpoint(sent, is_queued=False)
        session = name_in(sent, "session_hash")
        inputs = self._inputs(request, endpoint, sent)
        body = {"data": inputs, "fn_index": endpoint.number, "session_hash": session}
        return await request.respond_to(json.dumps(body).encode())

    def _inputs(self, request: FilteredRequest, endpoint: Endpoint, sent: Mapping[str, object]) -> list[object]:
        return inputs_for(endpoint, sent, lambda path: self._backend.uploads.may_read(request.visitor, path))

    def _endpoint(self, sent: Mapping[str, object], is_queued: bool) -> Endpoint:
        number = sent.get("fn_index")
        endpoint = self._endpoints.get(number) if type(number) is int else None
        if endpoint is None or endpoint.is_queued is not is_queued:
            raise BadRequestError("fn_index is not the number of a function that can be called here.")
        return endpoint

    async def _listen(self, request: FilteredRequest) -> Response | None:
        session = name_in(dict(request.request.query_params), "session_hash")
        request.scope["query_string"] = urlencode({"session_hash": session}).encode()
        return await self._stream(request, session)

    async def _listen_to_call(self, request: FilteredRequest, event: str) -> Response | None:
        return await self._stream(request, self._backend.sessions.session_of(event) or "")

    async def _stream(self, request: FilteredRequest, session: str) -> Response | None:
        sessions = self._backend.sessions
        if not sessions.has_messages(session):
            return refusal(404, "There is nothing to stream here: ask first.")
        if sessions.has_listener(session):
            return refusal(409, "This stream is already open.")
        sessions.open(session)
        try:
            return await request.pass_on()
        finally:
            sessions.close(session)

    async def _cancel(self, request: FilteredRequest) -> Response:
        sent = parse_object(await request.body())
        number = sent.get("fn_index")
        if type(number) is not int or number not in self._endpoints:
            raise BadRequestError("fn_index is not the number of a function.")
        names = {field: name_in(sent, field) for field in ("session_hash", "event_id")}
        return await request.respond_to(json.dumps({**names, "fn_index": number}).encode())

    async def _reset(self, request: FilteredRequest) -> Response:
        return JSONResponse({"success": True})
