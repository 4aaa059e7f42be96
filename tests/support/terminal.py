"""A command in its own terminal, as a shell starts it."""

import os
import pty
import re
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from support.locations import REPO
from support.processes import processes_with, read_proc

PATIENCE_S = 400
CTRL_C = b"\x03"


class Terminal:
    """`rsvlm` with a terminal and a PREFECT_HOME of its own."""

    def __init__(self, home: Path, *command: str, columns: int = 1000):
        self.home, self.said = home, ""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        env = {**kept, "PREFECT_HOME": str(home), "PREFECT_LOGGING_COLORS": "false", "COLUMNS": str(columns)}
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(REPO)
            os.execve(sys.executable, [sys.executable, "-m", "flows.cli", *command], env)

    def until(self, is_so: Callable[[], object]) -> None:
        """Read the output until a condition holds."""
        end = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < end, self.said[-3000:]
            assert self._read(), self.said[-3000:]

    def until_said(self, pattern: str) -> None:
        self.until(lambda: re.search(pattern, self.said))

    def press_ctrl_c(self) -> None:
        os.write(self._terminal, CTRL_C)

    def send_sigterm(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def ended(self) -> tuple[int, float]:
        """The exit code, and the seconds until the process ended."""
        started, end = time.monotonic(), time.monotonic() + PATIENCE_S
        while self._read():
            if time.monotonic() > end:
                os.killpg(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(status), time.monotonic() - started

    def _read(self) -> bool:
        """Read available output; False at its end."""
        if select.select([self._terminal], [], [], 0.1)[0]:
            # a terminal without a process is an error of input and output
            with suppress(OSError):
                read = os.read(self._terminal, 65536)
                self.said += read.decode("utf-8", "replace")
                return bool(read)
            return False
        return True

    def processes(self) -> list[int]:
        """The process and all its children, found by their PREFECT_HOME."""
        return processes_with("PREFECT_HOME", self.home)

    def until_server_starts(self) -> None:
        """Wait for the process of the server: libraries start short-lived ones too while they are imported."""
        self.until(lambda: any(b"prefect.server" in read_proc(pid, "cmdline") for pid in self.processes()))
