"""Prefect's embedded server ends with the command that started it, even if that is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, get_current_settings, temporary_settings
from support.processes import processes_with, read_proc

from flows.embedded import send_no_heartbeats, server_command, server_environment, startup_error

PATIENCE_S = 120


def started(home: Path) -> list[int]:
    """The command and all that it has started."""
    return processes_with("PREFECT_HOME", home)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["its server starts", "its server answers"])
def test_a_killed_command_leaves_no_server(moment: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    log = tmp_path / "log"
    with log.open("wb") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "train", "demo", "-v", "--workspace", str(tmp_path / "workspace")],
            env={**kept, "PREFECT_HOME": str(home)},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        is_reached = {
            # libraries start short-lived processes, too, while they are imported
            "its server starts": lambda: any(b"prefect.server" in read_proc(pid, "cmdline") for pid in started(home)),
            "its server answers": lambda: b"Beginning flow run" in log.read_bytes(),
        }[moment]
        wait_for(is_reached)
        child.kill()
        child.wait()
        wait_for(lambda: not started(home))
    finally:
        for pid in started(home):
            os.kill(pid, signal.SIGKILL)


def ended_start(home: Path, **changes: str) -> "subprocess.CompletedProcess[str]":
    """A command that gives up while its server starts; it has ended and reported that in one sentence."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    ended = subprocess.run(
        [sys.executable, "-m", "flows.cli", "train", "demo", "--workspace", str(home / "workspace")],
        env={**kept, "PREFECT_HOME": str(home), **changes},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    wait_for(lambda: not processes_with("PREFECT_HOME", home))
    return ended


def test_a_server_that_does_not_start_in_time_is_reported_in_one_sentence(tmp_path: Path) -> None:
    ended = ended_start(tmp_path, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="1")
    assert "error: Prefect's embedded server" in ended.stderr and "within 1 s" in ended.stderr


def test_a_server_that_ends_while_it_starts_is_reported_and_not_started_again(tmp_path: Path) -> None:
    ended = ended_start(tmp_path, PREFECT_API_DATABASE_CONNECTION_URL=f"sqlite+aiosqlite:///{tmp_path}/missing/db")
    assert "error: Prefect's embedded server" in ended.stderr and "ended while it started" in ended.stderr


def test_the_server_is_started_as_prefect_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.server.api.server import SubprocessASGIServer

    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda args, env: started.append((args, env)))
    SubprocessASGIServer._run_uvicorn_command(SimpleNamespace(port=4200))
    assert started == [(server_command(4200), server_environment())]


def test_heartbeats_are_sent_only_if_the_user_wants_them() -> None:
    for wanted, sent in (({}, None), ({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 60}, 60)):
        with temporary_settings(wanted):
            send_no_heartbeats()
            assert get_current_settings().flows.heartbeat_frequency == sent


def wait_for(is_so) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


# the server listens before it can answer
@pytest.mark.parametrize(
    ("error", "limit_s"),
    [(RuntimeError("Timed out while attempting to connect"), 77), (httpx.ReadTimeout("timed out"), 5)],
)
def test_a_server_that_is_too_slow_is_reported_in_one_sentence(
    error: Exception, limit_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "77")
    assert f"did not answer within {limit_s} s: the machine is busy" in str(startup_error(error))
    assert startup_error(bug := RuntimeError("a bug")) is bug
