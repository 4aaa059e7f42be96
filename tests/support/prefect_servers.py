"""Prefect servers: one in this process, and real servers with workers that can be killed and restarted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from support.locations import REPO
from support.postgres import postgres_programs
from support.processes import free_port, processes_with, read_proc

from tasks.paths import COMPLETE, RunFolder

BIN = Path(sys.executable).parent
PATIENCE_S = 500
# in which an event has started a run, on a machine that is not busy
HEARD_OF_S = 15
# every request takes CPU time from the server and its runs
ASK_EVERY_S = 0.5
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Prefect server for the tests, started once; yields its home folder, which has the results."""
    from flows.embedded import prepare_prefect

    prepare_prefect()
    from prefect.settings import PREFECT_HOME, PREFECT_LOCAL_STORAGE_PATH, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    home = tmp_path_factory.mktemp("prefect")
    settings = {PREFECT_HOME: home, PREFECT_LOCAL_STORAGE_PATH: home / "storage"}
    with temporary_settings(settings), prefect_test_harness(server_startup_timeout=300):
        yield home


def server_settings() -> dict[str, str]:
    """The server settings that the documentation recommends."""
    lines = (REPO / "infra" / "prefect-server.env").read_text(encoding="utf-8").split("\n")
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def until(is_so: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Wait until a condition is true and return its value; timeouts of the server are retried."""
    end, found = time.monotonic() + patience_s, None
    while not found:
        assert time.monotonic() < end, f"waited in vain for {what}"
        with suppress(httpx.TransportError):
            found = is_so()
        if not found:
            time.sleep(ASK_EVERY_S)
    return found


class Orchestra:
    """A server, its workers, and an HTTP client."""

    until = staticmethod(until)

    def __init__(self, folder: Path, database: str | None):
        self.folder, self.database, self.port = folder, database, free_port()
        self.workspace = folder / "workspace"
        self.api = f"http://127.0.0.1:{self.port}/api"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        self.env = {
            **inherited,
            **server_settings(),
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_API_URL": self.api,
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            **({"PREFECT_API_DATABASE_CONNECTION_URL": database} if database else {}),
        }
        self.server: subprocess.Popen[bytes] | None = None
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def _start(self, name: str, *command: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [str(BIN / "prefect"), *command],
                env=self.env,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_server(self) -> None:
        self.server = self._start("server", "server", "start", "--port", str(self.port))
        until(self._answers, "the server")

    def _answers(self) -> bool:
        return httpx.get(f"{self.api}/health", timeout=5).is_success

    def stop_server(self) -> None:
        assert self.server is not None
        os.killpg(self.server.pid, signal.SIGTERM)
        self.server.wait(PATIENCE_S)

    def start_worker(self, pool: str) -> None:
        self.workers[pool] = self._start(f"worker-{pool}", "worker", "start", "--pool", pool, "--limit", "4")

    def processes(self) -> list[int]:
        """All processes of this server, recognised by its address in their environment."""
        return processes_with("PREFECT_API_URL", self.api)

    def processes_of(self, run: str, named: str = "") -> list[int]:
        """The processes of a run, or only those whose command contains `named`."""
        of_run = set(self.processes()).intersection(processes_with("PREFECT__FLOW_RUN_ID", run))
        return [pid for pid in sorted(of_run) if named.encode() in read_proc(pid, "cmdline")]

    def lose_worker(self, pool: str) -> None:
        """Kill a worker; its runs continue."""
        worker = self.workers.pop(pool)
        worker.kill()
        worker.wait()

    def work_elsewhere(self, pool: str, name: str) -> None:
        """Replace a worker by one that shares nothing with others but the workspace, as on another machine."""
        self.lose_worker(pool)
        self.env["PREFECT_HOME"] = str(self.folder / name)
        self.start_worker(pool)

    def deploy(self, *options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "flows.cli", "deploy", "--workspace", str(self.workspace), *options],
            env=self.env,
            cwd=REPO,
            capture_output=True,
            text=True,
            check=False,
        )

    def ask(self, method: str, path: str, /, **body: Any) -> Any:
        """The API's response."""
        return self._request(method, path, body or None)

    def _request(self, method: str, path: str, body: Any) -> Any:
        """The API's response; a busy API (SQLite allows one writer) is asked again, as clients do."""

        def asked() -> httpx.Response | None:
            answer = httpx.request(method, f"{self.api}/{path}", json=body, timeout=60)
            return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

        answer = until(asked, f"an answer to {path}")
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def all(self, what: str, **body: Any) -> list[dict[str, Any]]:
        """All objects of a kind on the server."""
        found: list[dict[str, Any]] = self.ask("POST", f"{what}/filter", **{"limit": 200, **body})
        return found

    def start(self, deployment: str, **parameters: Any) -> str:
        """Start a run as the form does, and return its id."""
        there = self.ask("GET", f"deployments/name/{deployment}")
        run = self.ask("POST", f"deployments/{there['id']}/create_flow_run", parameters=parameters)
        return str(run["id"])

    def state(self, run: str) -> str:
        return str(self.ask("GET", f"flow_runs/{run}")["state"]["type"])

    def states(self, run: str) -> list[dict[str, Any]]:
        """All states that a run has been in."""
        found: list[dict[str, Any]] = self.ask("GET", f"flow_run_states/?flow_run_id={run}")
        return found

    def set_state(self, run: str, kind: str) -> None:
        self.ask("POST", f"flow_runs/{run}/set_state", state={"type": kind, "name": kind.capitalize()})

    def ended(self, run: str) -> str:
        """Wait for the end of a run and return its state."""
        return str(until(lambda: (state := self.state(run)) in ENDED and state, f"the end of {run}"))

    def runs_of(self, flow: str) -> list[dict[str, Any]]:
        return self.all("flow_runs", flows={"name": {"any_": [flow]}})

    def events(self, name: str, resource: str = "") -> list[dict[str, Any]]:
        """Recorded events with a name, of all resources or of one."""
        wanted = {"event": {"name": [name]}, **({"any_resource": {"id": [resource]}} if resource else {})}
        found: list[dict[str, Any]] = self.ask("POST", "events/filter", filter=wanted, limit=50)["events"]
        return found

    def emit(self, *events: tuple[str, str, dict[str, Any]], labels: dict[str, str] | None = None) -> None:
        """Send events, each (name, resource id, payload), in one request; `labels` are added to every resource."""
        sent = [
            {
                "id": str(uuid4()),
                "occurred": datetime.now(UTC).isoformat(),
                "event": name,
                "resource": {"prefect.resource.id": about, **(labels or {})},
                "payload": payload,
            }
            for name, about, payload in events
        ]
        self._request("POST", "events", sent)

    def until_heard(self, effect: Callable[[], Any], announce: Callable[[], None]) -> Any:
        """What events bring about; on a busy machine Prefect loses events, and so they are sent until it is there."""
        for _ in range(PATIENCE_S // HEARD_OF_S):
            announce()
            with suppress(AssertionError):
                return until(effect, "what an event brings about", HEARD_OF_S)
        raise AssertionError("events that were sent again and again bring about nothing")

    def run_folder(self, name: str) -> RunFolder:
        return RunFolder(self.workspace / "runs" / name)

    def log(self, name: str) -> list[str]:
        """The lines of a run's log."""
        log = self.run_folder(name).log
        return log.read_text(encoding="utf-8").split("\n") if log.exists() else []

    def goes_on(self, name: str, lines: int = 5) -> None:
        """Wait until a run's log has grown."""
        seen = len(self.log(name))
        until(lambda: len(self.log(name)) > seen + lines, f"steps of {name}")

    def saved(self, name: str) -> list[int]:
        """Steps of complete checkpoints on the disk."""
        found = self.run_folder(name).training.glob(f"checkpoint-*/{COMPLETE}")
        return sorted(int(marker.parent.name.split("-")[1]) for marker in found)

    def close(self) -> None:
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in (self.server, *self.workers.values()):
            if process is not None:
                process.wait()


def quicker_database() -> str:
    """The parameter of `orchestra` for tests that one database is enough for."""
    return "postgresql" if postgres_programs() else "sqlite"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def orchestra(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchestra]:
    """A server with all deployments, made with the module's DEPLOYED_WITH, and workers of both pools."""
    folder = tmp_path_factory.mktemp(request.param)
    database = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    with closing(Orchestra(folder, database)) as orchestra:
        orchestra.start_server()
        done = orchestra.deploy(*request.module.DEPLOYED_WITH)
        assert done.returncode == 0, done.stderr
        for pool in ("cpu", "gpu"):
            orchestra.start_worker(pool)
        yield orchestra
