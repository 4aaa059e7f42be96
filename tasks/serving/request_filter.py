"""The gate before Gradio: a request passes only where the page or a program needs it, and only as it is meant."""

import asyncio
import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response

from tasks.serving.http_request import App, Scope, Visit, refusal
from tasks.serving.login import Slowdown
from tasks.serving.request_checks import BadRequestError, Endpoint, data_for, name_in, object_in
from tasks.serving.sessions import Sessions
from tasks.serving.uploads import KEPT_S, Uploads

API = "/gradio_api"
# of these a browser makes nothing but a picture
PICTURES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
}
# what is needed to see the page, or that one has to log in
OPEN_PATHS = re.compile(
    r"/|/config|/theme\.css|/(?:assets|static|svelte)/[\w./-]+|/favicon\.ico|/robots\.txt|/manifest\.json|/logout"
    rf"|{API}/(?:login_check|app_id|theme\.css)",
    re.ASCII,
)
MEMBER_PATHS = re.compile(rf"{API}/(?:info|user|heartbeat/[\w-]{{1,64}})", re.ASCII)


@dataclass(frozen=True)
class Behind:
    """What the gate stands before: Gradio's application, the page's endpoints, its files and its queue."""

    app: App
    endpoints: Sequence[Endpoint]
    uploads: Uploads
    sessions: Sessions
    is_member: Callable[[Request], bool]


class Gate:
    """An ASGI application that answers or refuses a request itself, or passes it on in a form of its own making."""

    def __init__(self, behind: Behind):
        self._behind, self._slowdown = behind, Slowdown()
        self._endpoints = {endpoint.number: endpoint for endpoint in behind.endpoints}
        self._names = {endpoint.name: endpoint for endpoint in behind.endpoints if endpoint.name}
        self._answers = (
            ("GET", rf"{API}/file=(.+)", self._file),
            ("HEAD", rf"{API}/file=(.+)", self._file),
            ("POST", rf"{API}/upload", self._upload),
            ("GET", rf"{API}/upload_progress", self._progress),
            ("POST", rf"{API}/queue/join", self._join),
            ("GET", rf"{API}/queue/data", self._listen),
            ("POST", rf"{API}/run/[\w-]+", self._run),
            ("POST", rf"{API}/call/([\w-]+)", self._call),
            ("GET", rf"{API}/call/[\w-]+/([\w-]+)", self._listen_to_call),
            ("POST", rf"{API}/cancel", self._cancel),
            ("POST", rf"{API}/reset", self._reset),
        )

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await self._behind.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close"})
        visit = Visit(self._behind.app, scope, receive, send)
        try:
            answer = await self._answer(visit)
        except BadRequestError as error:
            answer = refusal(422, str(error))
        except MultiPartException as error:
            answer = refusal(400, error.message)
        except ClientDisconnect:
            # the sender, or the limit of what can be sent
            answer = refusal(413, "What was sent did not come to its end, or is too much.")
        except HTTPException as error:
            answer = refusal(error.status_code, error.detail)
        if answer is not None:
            await answer(visit.scope, visit.receive, visit.send)

    async def _answer(self, visit: Visit) -> Response | None:
        method, path = visit.scope["method"], visit.scope["path"]
        if method == "POST" and path == "/login":
            return await self._login(visit)
        if path == "/logout":
            # the others who use the same login stay
            visit.scope["query_string"] = b"all_session=false"
        if method in ("GET", "HEAD") and OPEN_PATHS.fullmatch(path) and ".." not in path:
            return await visit.pass_on()
        if not self._behind.is_member(visit.request):
            return refusal(401, "Not authenticated")
        if method == "GET" and MEMBER_PATHS.fullmatch(path):
            return await visit.pass_on()
        for wanted, pattern, answer in self._answers:
            if method == wanted and (found := re.fullmatch(pattern, path, re.ASCII | re.DOTALL)):
                return await answer(visit, *found.groups())
        return refusal(404, "There is nothing here.")

    async def _login(self, visit: Visit) -> Response | None:
        body = await visit.body()
        async with self._slowdown.attempt(visit.address) as attempt:
            if attempt is None:
                return refusal(429, "Too many wrong passwords: wait, and try again.")
            answer = await visit.answer(body, kind=None)
            attempt.is_right = answer.status_code == 200
        return answer

    async def _file(self, visit: Visit, path: str) -> Response:
        if not self._behind.uploads.is_for(visit.visitor, path) or not Path(path).is_file():
            return refusal(403, "This file is none of your uploads and no example.")
        picture = PICTURES.get(Path(path).suffix.lower())
        return FileResponse(
            path,
            media_type=f"image/{picture}" if picture else "application/octet-stream",
            filename=Path(path).name,
            content_disposition_type="inline" if picture else "attachment",
        )

    async def _upload(self, visit: Visit) -> Response:
        paths = []
        async with visit.request.form(max_files=10, max_fields=10) as form:
            for sent in form.getlist("files"):
                if isinstance(sent, str):
                    raise BadRequestError("files holds text: send a file.")
                paths.append(await run_in_threadpool(self._keep, visit.visitor, sent))
        if not paths:
            raise BadRequestError("There is no file: send one as files.")
        # also where no other comes by then
        asyncio.get_running_loop().call_later(KEPT_S + 1, self._behind.uploads.forget_old)
        return JSONResponse(paths)

    def _keep(self, visitor: str, sent: Any) -> str:
        return self._behind.uploads.keep(visitor, sent.filename or "", lambda file: copyfileobj(sent.file, file))

    async def _progress(self, visit: Visit) -> Response:
        # an upload is there as soon as it is answered
        return Response(media_type="text/event-stream")

    async def _join(self, visit: Visit) -> Response:
        sent = object_in(await visit.body())
        endpoint = self._endpoint(sent, is_queued=True)
        return await self._ask(visit, endpoint, sent, {"fn_index": endpoint.number})

    async def _call(self, visit: Visit, name: str) -> Response:
        if name not in self._names:
            raise HTTPException(404, f"There is no endpoint of that name: use one of {', '.join(self._names)}.")
        sent = {"session_hash": secrets.token_hex(16), **object_in(await visit.body())}
        return await self._ask(visit, self._names[name], sent, {})

    async def _ask(self, visit: Visit, endpoint: Endpoint, sent: dict[str, Any], more: dict[str, Any]) -> Response:
        session = name_in(sent, "session_hash")
        body = {"data": self._data(visit, endpoint, sent), "session_hash": session, **more}
        answer = await visit.answer(json.dumps(body).encode())
        if answer.status_code == 503:
            return refusal(429, "Too many questions wait: try again later.")
        self._behind.sessions.expect(session)
        return answer

    async def _run(self, visit: Visit) -> Response:
        sent = object_in(await visit.body())
        endpoint = self._endpoint(sent, is_queued=False)
        session = name_in(sent, "session_hash")
        body = {"data": self._data(visit, endpoint, sent), "fn_index": endpoint.number, "session_hash": session}
        return await visit.answer(json.dumps(body).encode())

    def _data(self, visit: Visit, endpoint: Endpoint, sent: dict[str, Any]) -> list[Any]:
        return data_for(endpoint, sent, lambda path: self._behind.uploads.is_for(visit.visitor, path))

    def _endpoint(self, sent: dict[str, Any], is_queued: bool) -> Endpoint:
        number = sent.get("fn_index")
        endpoint = self._endpoints.get(number) if type(number) is int else None
        if endpoint is None or endpoint.is_queued is not is_queued:
            raise BadRequestError("fn_index is no number of a function that can be called here.")
        return endpoint

    async def _listen(self, visit: Visit) -> Response | None:
        session = name_in(dict(visit.request.query_params), "session_hash")
        visit.scope["query_string"] = urlencode({"session_hash": session}).encode()
        return await self._stream(visit, session)

    async def _listen_to_call(self, visit: Visit, event: str) -> Response | None:
        return await self._stream(visit, self._behind.sessions.of_event(event) or "")

    async def _stream(self, visit: Visit, session: str) -> Response | None:
        sessions = self._behind.sessions
        if not sessions.is_known(session):
            return refusal(404, "Nothing was asked here: ask first.")
        if sessions.is_open(session):
            return refusal(409, "Somebody listens here already.")
        sessions.open(session)
        try:
            return await visit.pass_on()
        finally:
            sessions.close(session)

    async def _cancel(self, visit: Visit) -> Response:
        sent = object_in(await visit.body())
        number = sent.get("fn_index")
        if type(number) is not int or number not in self._endpoints:
            raise BadRequestError("fn_index is no number of a function.")
        names = {field: name_in(sent, field) for field in ("session_hash", "event_id")}
        return await visit.answer(json.dumps({**names, "fn_index": number}).encode())

    async def _reset(self, visit: Visit) -> Response:
        return JSONResponse({"success": True})
