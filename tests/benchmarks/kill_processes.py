"""A command that is killed at a drawn moment: alone or with all that it started, and who is left of it then."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

HERE = Path(__file__).resolve().parent
MARK = "RSVLM_KILLS_MARK"
# what a command takes when the machine is busy, and how long its children may outlive it
PATIENCE_S, ORPHANS_END_S = 900, 60
ASK_EVERY_S = 0.005


@dataclass(frozen=True)
class Moment:
    """When a command is stopped: after some seconds, or at an action on files and servers, by its number."""

    after_s: float | None = None
    action: int | None = None


@dataclass(frozen=True)
class Started:
    """What is started: a command, the folder that it works in, its environment, and where its output goes."""

    command: tuple[str, ...]
    world: Path
    environment: dict[str, str]
    log: Path


class Attempt:
    """A command on its way in a session of its own; its processes are known by a mark in their environment."""

    def __init__(self, started: Started, moment: Moment | None = None) -> None:
        self._mark, self._moment = uuid4().hex, moment or Moment()
        self._counter = started.log.with_name(f"actions-{self._mark}")
        self._start = time.monotonic()
        environment = {
            **started.environment,
            "PYTHONPATH": os.pathsep.join([str(HERE / "kill_moments"), str(HERE.parents[1])]),
            MARK: self._mark,
            "RSVLM_KILLS_WORLD": f"{started.world}/",
            "RSVLM_KILLS_COUNTER": str(self._counter),
            "RSVLM_KILLS_AT": str(self._moment.action or ""),
        }
        with started.log.open("wb") as log:
            self._child = subprocess.Popen(
                started.command,
                env=environment,
                cwd=started.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def finish(self) -> tuple[int, float, int]:
        """Wait for the end; exit code, seconds, and the number of actions."""
        code = self._child.wait(PATIENCE_S)
        taken_s = time.monotonic() - self._start
        actions = self._counter.stat().st_size if self._counter.exists() else 0
        return code, taken_s, actions

    def stopped_at_its_moment(self) -> bool:
        """Wait for the moment and stop all processes there; False where the command ended before it."""
        sign, after_s = Path(f"{self._counter}.stopped"), self._moment.after_s

        def reached() -> bool:
            return sign.exists() if after_s is None else time.monotonic() - self._start >= after_s

        wait_for(lambda: reached() or self._child.poll() is not None, PATIENCE_S)
        self._stop_all()
        return self._child.poll() is None

    def kill(self, group: bool) -> list[str]:
        """Kill the stopped command, with all its processes or alone; what those left did not end of themselves."""
        left: list[str] = []
        self._child.kill()
        self._child.wait()
        if not group:
            self._send(signal.SIGCONT)
            wait_for(lambda: not self.processes(), ORPHANS_END_S)
            left = [name_of(pid) for pid in self.processes()]
        self.end()
        return left

    def end(self) -> None:
        """Leave no process."""

        def gone() -> bool:
            self._send(signal.SIGKILL)
            return not self.processes()

        wait_for(gone, PATIENCE_S)
        self._child.wait()

    def processes(self) -> list[int]:
        """All processes with the mark; one that has ended and was not waited for has none."""
        mark = f"{MARK}={self._mark}".encode()
        return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if mark in read(folder / "environ")]

    def _stop_all(self) -> None:
        # a process that was just started may have been missed
        while any(not is_stopped(pid) for pid in self.processes()):
            self._send(signal.SIGSTOP)
            time.sleep(ASK_EVERY_S)

    def _send(self, sign: signal.Signals) -> None:
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, sign)


def wait_for(is_so: Callable[[], bool], patience_s: float) -> bool:
    """Wait until something is so; False where it was not in time."""
    end = time.monotonic() + patience_s
    while not (so := is_so()) and time.monotonic() < end:
        time.sleep(ASK_EVERY_S)
    return so


def read(file: Path) -> bytes:
    """A file of a process; nothing where it has ended."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def is_stopped(pid: int) -> bool:
    """Whether a process does nothing more: stopped, ended, or gone."""
    state = read(Path(f"/proc/{pid}/stat")).rpartition(b")")[2].split()[:1]
    return not state or state[0] in b"TtZX"


def name_of(pid: int) -> str:
    """The command of a process."""
    return read(Path(f"/proc/{pid}/cmdline")).replace(b"\0", b" ").decode(errors="replace").strip()[:120]
