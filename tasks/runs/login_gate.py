"""The login in front of the page over all runs: a form, a cookie, and a delay after wrong passwords."""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import parse_qs, quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tasks.serving.login import Login, LoginThrottle

LOGIN, LOGOUT = "/login", "/logout"
# what the form itself needs
PUBLIC_PATHS = ("/style.css",)
MAX_SESSIONS = 1000
WEEK_S = 7 * 24 * 3600
WRONG = "User or password is wrong."
WAIT = "Too many wrong passwords: wait, and try again."

RenderForm = Callable[[str, str], str]


class LoginGate:
    """ASGI middleware that lets logged-in visitors pass and shows everyone else the form.

    `render_form` makes the form's page from the path to go to and a message.
    """

    def __init__(self, app: ASGIApp, login: Login, render_form: RenderForm):
        self._app, self._login, self._render = app, login, render_form
        self._throttle = LoginThrottle()
        self._sessions: OrderedDict[str, None] = OrderedDict()
        # cookies are shared by all ports of a machine, and two servers must not log each other's visitors out
        self._cookie = f"rsvlm-view-{secrets.token_hex(4)}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PUBLIC_PATHS:
            return await self._app(scope, receive, send)
        request = Request(scope, receive)
        if scope["path"] == LOGIN:
            response = await self._try(request) if scope["method"] == "POST" else self._form(request)
        elif request.cookies.get(self._cookie) not in self._sessions:
            response = RedirectResponse(f"{LOGIN}?next={quote(_address(scope))}", 303)
        elif scope["path"] == LOGOUT and scope["method"] == "POST":
            response = self._forget(request)
        else:
            return await self._app(scope, receive, send)
        return await response(scope, receive, send)

    def _form(self, request: Request, message: str = "", status: int = 200) -> Response:
        page = self._render(own_path(request.query_params.get("next", "/")), message)
        return HTMLResponse(page, status, {"cache-control": "no-store"})

    async def _try(self, request: Request) -> Response:
        try:
            given = parse_qs((await request.body()).decode(errors="replace"))
        except ClientDisconnect:
            # by the limit on the body's size
            return self._form(request, WRONG, 413)
        async with self._throttle.attempt(request.client.host if request.client else "") as attempt:
            if attempt is None:
                return self._form(request, WAIT, 429)
            attempt.succeeded = self._is_right(given)
        return self._enter(request) if attempt.succeeded else self._form(request, WRONG, 401)

    def _is_right(self, given: dict[str, list[str]]) -> bool:
        sent = [given.get(name, [""])[0].encode() for name in ("user", "password")]
        # both are compared, so that the time does not tell which one is wrong
        return all([secrets.compare_digest(*pair) for pair in zip(sent, map(str.encode, self._login), strict=True)])

    def _enter(self, request: Request) -> Response:
        token = secrets.token_urlsafe(32)
        self._sessions[token] = None
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        response = RedirectResponse(own_path(request.query_params.get("next", "/")), 303)
        # lax: a link from Prefect's pages, another site, must find the visitor logged in
        response.set_cookie(self._cookie, token, max_age=WEEK_S, httponly=True, samesite="lax")
        return response

    def _forget(self, request: Request) -> Response:
        self._sessions.pop(request.cookies.get(self._cookie, ""), None)
        return RedirectResponse(LOGIN, 303)


def own_path(address: str) -> str:
    """The address if it is a path of this server, else its first page: a link must not lead elsewhere after a login."""
    is_own = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if is_own else "/"


def _address(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    return quote(scope["path"]) + (f"?{query}" if query else "")
