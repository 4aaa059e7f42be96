"""Prefect's embedded server ends with the command that started it, even if that is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, get_current_settings, temporary_settings
from support.processes import free_port, processes_with, read_proc

from flows import embedded
from flows.embedded import PLUGIN, send_no_heartbeats, server_command, server_environment, start_prefect
from tasks.errors import ConfigError

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
    ((command, environment),) = started
    assert (command, {**PLUGIN, **environment}) == (server_command(4200), server_environment())


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


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that never answers, in place of the server; it has a second to start."""
    from prefect.server.api.server import SubprocessASGIServer

    # the server of other tests
    monkeypatch.setattr(SubprocessASGIServer, "_instances", {})
    process = subprocess.Popen(["sleep", "600"])
    monkeypatch.setattr(embedded, "_launch", lambda started: started.append(process) or free_port())
    monkeypatch.setattr(embedded, "SLOW_S", 0)
    monkeypatch.setattr("flows.server.is_configured", lambda: False)
    monkeypatch.setenv("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "1")
    yield process
    process.kill()
    process.wait()


def test_a_program_whose_server_does_not_answer_is_left_without_it(
    stub: "subprocess.Popen[bytes]", capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=r"did not answer within 1 s: the machine is busy"):
        start_prefect(is_command=False)
    assert stub.returncode == -signal.SIGKILL and not embedded._is_running()
    assert capsys.readouterr().err.count("Starting Prefect's embedded server ...") == 1


def test_a_server_that_is_killed_while_it_starts_is_noticed_at_once(stub: "subprocess.Popen[bytes]") -> None:
    stub.terminate()
    with pytest.raises(ConfigError, match="ended while it started"):
        start_prefect(is_command=False)


def test_a_program_that_is_interrupted_is_left_without_a_server(stub: "subprocess.Popen[bytes]") -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(embedded, "import_module", raise_interrupt)
        start_prefect(is_command=False)
    assert stub.returncode == -signal.SIGKILL


def raise_interrupt(module: str) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def adopted(stub: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    """The process, as if it had been started and had answered."""
    from prefect.server.api.server import SubprocessASGIServer

    embedded._adopt(stub, 1)
    yield stub
    SubprocessASGIServer().stop()


def test_a_second_run_uses_the_server_and_sends_no_heartbeats(adopted: "subprocess.Popen[bytes]") -> None:
    for _ in range(2):
        # as when Prefect reads them again
        with temporary_settings({}):
            start_prefect(is_command=False)
            assert get_current_settings().flows.heartbeat_frequency is None
    assert adopted.poll() is None


def test_flows_in_two_threads_start_one_server(
    stub: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.server.api.server import SubprocessASGIServer

    launched: list[int] = []

    def launch(started: list["subprocess.Popen[bytes]"]) -> int:
        started.append(stub)
        launched.append(free_port())
        return launched[-1]

    monkeypatch.setattr(embedded, "_launch", launch)
    monkeypatch.setattr(embedded, "_wait_for_answer", lambda *_: time.sleep(0.2))
    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(start_prefect, is_command=False) for _ in range(2)]:
            each.result()
    assert [SubprocessASGIServer().port] == launched
    SubprocessASGIServer().stop()


def test_a_server_that_was_killed_is_not_used_again(adopted: "subprocess.Popen[bytes]") -> None:
    assert embedded._is_running()
    adopted.kill()
    adopted.wait()
    assert not embedded._is_running() and not embedded._is_running()
