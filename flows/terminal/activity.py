"""What a run is doing, from the end of its log, and one line that shows it while the run works."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tasks.files import read_tail
from tasks.worker_lines import answers_progress, step_progress

# seconds between two looks at a run's files, and between two lines where lines cannot be overwritten
EVERY_S, LINES_EVERY_S = 0.5, 20.0
TAIL_BYTES = 4096
WIDTH = 100


@contextmanager
def repeatedly(look: Callable[[], None]) -> Iterator[None]:
    """Call `look` every EVERY_S seconds in a thread while the block runs, and once more after it."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(EVERY_S):
            look()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        look()


def activity_of(log: Path, since: int = 0) -> str:
    """What a run is doing, by its log from the byte `since` on."""
    size = log.stat().st_size if log.exists() else 0
    if size <= since:
        return "starting"
    return activity_in(read_tail(log, min(TAIL_BYTES, size - since)).decode(errors="replace").split("\n"))


def activity_in(lines: Sequence[str]) -> str:
    """The newest progress in the lines of a run's log."""
    for line in reversed(lines):
        if step := step_progress(line):
            return f"training, {step.description}"
        if answers := answers_progress(line):
            return f"{answers[0]} of {answers[1]} questions answered"
    return "preparing"


@contextmanager
def status_line(name: str, log: Path, stream: TextIO | None = None) -> Iterator[None]:
    """Show on one line what the run `name` is doing; where a line cannot be overwritten, a new one now and then."""
    status = _StatusLine(name, log, stream or sys.stderr)
    with repeatedly(status.look):
        yield
    status.clear()


class _StatusLine:
    def __init__(self, name: str, log: Path, stream: TextIO) -> None:
        self._name, self._log, self._stream = name, log, stream
        self._since = log.stat().st_size if log.exists() else 0
        self._overwrites = stream.isatty() or "ipykernel" in sys.modules
        self._shown, self._next_s = "", time.monotonic() + LINES_EVERY_S

    def look(self) -> None:
        """Show the run's activity if it has changed."""
        text = f"{self._name}: {activity_of(self._log, self._since)}"
        if text == self._shown or (not self._overwrites and time.monotonic() < self._next_s):
            return
        self._shown, self._next_s = text, time.monotonic() + LINES_EVERY_S
        self._write(f"\r{text:<{WIDTH}.{WIDTH}}" if self._overwrites else f"{text}\n")

    def clear(self) -> None:
        """Remove the line, where that is possible."""
        if self._overwrites and self._shown:
            self._write(f"\r{'':{WIDTH}}\r")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
