"""A real Prefect server and real workers, as processes that can be killed and started again."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

REPO = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
POSTGRES = Path("/usr/lib/postgresql")
PATIENCE_S = 300
# each question costs the server processor time that its runs need
ASK_EVERY_S = 0.5
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_settings() -> dict[str, str]:
    """How the documentation has people start a server."""
    lines = (REPO / "infra" / "prefect-server.env").read_text(encoding="utf-8").split("\n")
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def until(is_so: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Wait until something is so, and return what it said; a server that does not answer in time is asked again."""
    end, found = time.monotonic() + patience_s, None
    while not found:
        assert time.monotonic() < end, f"waited in vain for {what}"
        with suppress(httpx.TransportError):
            found = is_so()
        if not found:
            time.sleep(ASK_EVERY_S)
    return found


def _environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


class Orchestra:
    """A server, its workers, and a client that asks over HTTP as any other program would."""

    until = staticmethod(until)

    def __init__(self, folder: Path, database: str | None):
        self.folder, self.port = folder, free_port()
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
        self.workers[pool] = self._start(f"worker-{pool}", "worker", "start", "--pool", pool)

    def processes(self) -> list[int]:
        """All processes that this orchestra's server knows of, by the address that they were given."""
        mark = f"PREFECT_API_URL={self.api}".encode()
        return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if mark in _environment(folder)]

    def lose_machine(self, pool: str) -> None:
        """End a worker, its runs and all that they started at once, as a power cut does."""
        worker = self.workers.pop(pool)
        assert self.server is not None
        kept = {os.getpgid(process.pid) for process in (self.server, *self.workers.values())}
        for pid in self.processes():
            with suppress(ProcessLookupError):
                if os.getpgid(pid) not in kept:
                    os.kill(pid, signal.SIGKILL)
        worker.wait()

    def deploy(self, *options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "flows.cli", "deploy", "--workspace", str(self.workspace), *options],
            env=self.env,
            cwd=REPO,
            capture_output=True,
            text=True,
            check=False,
        )

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """What the API answers; a busy one (SQLite locks out all writers but one) is asked again, as clients do."""

        def asked() -> httpx.Response | None:
            answer = httpx.request(method, f"{self.api}/{path}", json=body or None, timeout=60)
            return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

        answer = until(asked, f"an answer to {path}")
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def all(self, what: str, **body: Any) -> list[dict[str, Any]]:
        """All things of a kind on the server."""
        found: list[dict[str, Any]] = self.ask("POST", f"{what}/filter", **{"limit": 200, **body})
        return found

    def start(self, deployment: str, **parameters: Any) -> str:
        """Start a run as the form does, and return its id."""
        there = self.ask("GET", f"deployments/name/{deployment}")
        run = self.ask("POST", f"deployments/{there['id']}/create_flow_run", parameters=parameters)
        return str(run["id"])

    def state(self, run: str) -> str:
        return str(self.ask("GET", f"flow_runs/{run}")["state"]["type"])

    def set_state(self, run: str, kind: str) -> None:
        self.ask("POST", f"flow_runs/{run}/set_state", state={"type": kind, "name": kind.capitalize()})

    def ended(self, run: str) -> str:
        """Wait for the end of a run and return its state."""
        return str(until(lambda: (state := self.state(run)) in ENDED and state, f"the end of {run}"))

    def runs_of(self, flow: str) -> list[dict[str, Any]]:
        return self.all("flow_runs", flows={"name": {"any_": [flow]}})

    def close(self) -> None:
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in (self.server, *self.workers.values()):
            if process is not None:
                process.wait()


@pytest.fixture(scope="module")
def orchestra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchestra]:
    """A server on SQLite with two workers and all deployments."""
    yield from _playing(tmp_path_factory.mktemp("prefect"), None)


@pytest.fixture(scope="module")
def orchestra_on_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchestra]:
    """The same on a PostgreSQL server of its own."""
    found = sorted(POSTGRES.glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    folder = tmp_path_factory.mktemp("postgres")
    with_postgres = _Postgres(found[-1].parent, folder)
    try:
        yield from _playing(folder, with_postgres.address)
    finally:
        with_postgres.close()


def _playing(folder: Path, database: str | None) -> Iterator[Orchestra]:
    orchestra = Orchestra(folder, database)
    try:
        orchestra.start_server()
        done = orchestra.deploy()
        assert done.returncode == 0, done.stderr
        for pool in ("cpu", "gpu"):
            orchestra.start_worker(pool)
        yield orchestra
    finally:
        orchestra.close()


class _Postgres:
    """A PostgreSQL server on a port of its own; it refuses to run as root, and then is the user postgres."""

    def __init__(self, programs: Path, folder: Path):
        self._run = [] if os.geteuid() else ["runuser", "-u", "postgres", "--"]
        self._control, self._data = programs / "pg_ctl", Path("/tmp") / f"rsvlm-postgres-{os.getpid()}"
        port = free_port()
        if self._run:
            pwd.getpwnam("postgres")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._call(str(programs / "initdb"), "-D", str(self._data), "-U", "rsvlm", "-A", "trust", "-E", "UTF8")
        self._call(str(self._control), "-D", str(self._data), "-o", options, "-l", f"{self._data}/log", "-w", "start")
        self.address = f"postgresql+asyncpg://rsvlm@127.0.0.1:{port}/postgres"

    def _call(self, *command: str) -> None:
        subprocess.run([*self._run, *command], check=True, cwd="/", stdout=subprocess.DEVNULL)

    def close(self) -> None:
        self._call(str(self._control), "-D", str(self._data), "-m", "immediate", "stop")
        shutil.rmtree(self._data, ignore_errors=True)
