"""The web application of `rsvlm view`: pages over all runs, their reports and a few of their files."""

from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tasks.errors import UserError
from tasks.paths import METRICS, PER_ANSWER, REPORT_PAGE, SCORES, RunFolder
from tasks.runs import pages
from tasks.runs.catalog import Catalog, Report
from tasks.runs.login_gate import LoginGate
from tasks.serving.hosts import Hosts
from tasks.serving.http_server import LimitsMiddleware
from tasks.serving.login import Login

# a login form; nothing else is sent to this server
MAX_BODY_BYTES = 10_000
NO_CACHE = {"cache-control": "no-cache"}
# A report may come from a store that others write to: its scripts run, but not as a page of this server.
SANDBOX = {"content-security-policy": "sandbox allow-scripts allow-popups allow-modals", **NO_CACHE}
REPORT_FILES = (METRICS, PER_ANSWER, SCORES)
RUN_FILES: Mapping[str, Callable[[RunFolder], Path]] = {
    "log.txt": lambda paths: paths.log,
    "experiment.yaml": lambda paths: paths.experiment,
    "comparison.json": lambda paths: paths.comparison,
}


def build_site(root: Path, hosts: Hosts, login: Login | None) -> ASGIApp:
    """The application over the runs of a workspace or a store's folder; with a login, only for those who have it."""
    site: ASGIApp = _Site(Catalog(root), login is not None).app()
    if login is not None:
        site = LoginGate(site, login, pages.login_page)
    return LimitsMiddleware(site, MAX_BODY_BYTES, hosts)


class _Site:
    """The endpoints; Starlette runs them in threads."""

    def __init__(self, catalog: Catalog, has_login: bool):
        self._catalog, self._has_login = catalog, has_login

    def app(self) -> Starlette:
        routes = [
            Route("/", self.index),
            Route("/style.css", self.style),
            Route("/view.js", self.script),
            Route("/api/runs", self.api),
            Route("/compare", self.compare),
            Route("/curves", self.curves),
            Route("/sweeps/{sweep}", self.sweep),
            Route("/runs/{run}", self.run),
            Route("/runs/{run}/files/{file}", self.run_file),
            Route("/runs/{run}/reports/{model}", self.report),
            Route("/runs/{run}/reports/{model}/image", self.image),
            Route("/runs/{run}/reports/{model}/{file}", self.report_file),
        ]
        handlers = {UserError: _not_found, HTTPException: _refused}
        return Starlette(routes=routes, exception_handlers=handlers)

    def index(self, request: Request) -> Response:
        return _page(pages.index_page(self._catalog, self._has_login))

    def style(self, request: Request) -> Response:
        return Response(pages.style(), media_type="text/css", headers=NO_CACHE)

    def script(self, request: Request) -> Response:
        return FileResponse(pages.SCRIPT, media_type="text/javascript", headers=NO_CACHE)

    def api(self, request: Request) -> Response:
        return JSONResponse([run.model_dump(mode="json") for run in self._catalog.runs()], headers=NO_CACHE)

    def run(self, request: Request) -> Response:
        return _page(pages.run_page(self._catalog.run(request.path_params["run"])))

    def curves(self, request: Request) -> Response:
        names = request.query_params.getlist("run")
        return _page(pages.curves_page([self._catalog.run(name.partition("/")[0]) for name in names]))

    def compare(self, request: Request) -> Response:
        names = request.query_params.getlist("run")
        if len(names) != 2:
            return _message(400, "Two runs", f"{len(names)} runs are ticked: tick two on the first page, and compare.")
        return _page(pages.compare_page(*map(self._catalog.report, names)))

    def report(self, request: Request) -> Response:
        return _file(self._report(request).folder / REPORT_PAGE, "text/html; charset=utf-8", SANDBOX)

    def sweep(self, request: Request) -> Response:
        page = self._catalog.leaderboard(request.path_params["sweep"])
        return _file(page, "text/html; charset=utf-8", SANDBOX)

    def report_file(self, request: Request) -> Response:
        name = request.path_params["file"]
        if name not in REPORT_FILES:
            raise HTTPException(404)
        return _file(self._report(request).folder / name, "application/json", NO_CACHE)

    def run_file(self, request: Request) -> Response:
        name, run = request.path_params["file"], self._catalog.run(request.path_params["run"])
        if name not in RUN_FILES:
            raise HTTPException(404)
        return _file(RUN_FILES[name](run.paths), "text/plain; charset=utf-8", NO_CACHE)

    def image(self, request: Request) -> Response:
        picture = self._catalog.thumbnail(self._report(request), request.query_params.get("path", ""))
        return Response(picture, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})

    def _report(self, request: Request) -> Report:
        return self._catalog.report(f"{request.path_params['run']}/{request.path_params['model']}")


def _page(html: str) -> Response:
    return HTMLResponse(html, headers=NO_CACHE)


def _file(path: Path, media_type: str, headers: Mapping[str, str]) -> Response:
    if not path.is_file():
        raise HTTPException(404)
    return FileResponse(path, media_type=media_type, headers=headers)


def _message(status: int, title: str, message: str) -> Response:
    return HTMLResponse(pages.message_page(title, message), status, NO_CACHE)


async def _not_found(request: Request, error: Exception) -> Response:
    return _message(404, "Not found", str(error))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    found = "There is nothing here: go back to the first page." if error.status_code == 404 else error.detail
    return _message(error.status_code, "Not found" if error.status_code == 404 else "Refused", found)
