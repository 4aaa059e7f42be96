"""One line that says what a run in a program or a notebook of the user's is doing."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from flows.terminal.steps import StepList
from tasks.progress import EXPERIMENT_STEPS, Progress, watched_by

# seconds between two lines if a line cannot be overwritten: a run whose results exist prints none
LINES_EVERY_S = 20.0
WIDTH = 100


@contextmanager
def on_one_line(name: str, stream: TextIO | None = None) -> Iterator[None]:
    """Show on one line what the run `name` is doing while the block runs, and remove it at the end."""
    view = OneLine(name, stream or sys.stderr)
    with watched_by(view):
        yield
    view.clear()


class OneLine:
    """Overwrites its line in a terminal and in a notebook; elsewhere it prints a new one now and then."""

    def __init__(self, name: str, stream: TextIO) -> None:
        self._name, self._stream, self._steps = name, stream, StepList(EXPERIMENT_STEPS)
        self._overwrites = stream.isatty() or "ipykernel" in sys.modules
        self._next_s = 0.0 if self._overwrites else time.monotonic() + LINES_EVERY_S

    def begin(self, step: str) -> None:
        self._print(self._steps.label(self._steps.begin(step)))

    def show(self, progress: Progress) -> None:
        if step := self._steps.show(progress):
            self._print(f"{self._steps.label(step)} {self._steps.detail(step)}")

    def end(self, step: str) -> None:
        self._steps.end(step)

    def note(self, text: str) -> None:
        self._print(text)

    def clear(self) -> None:
        """Remove the line, if that is possible."""
        if self._overwrites:
            self._write(f"\r{'':{WIDTH}}\r")

    def _print(self, text: str) -> None:
        if time.monotonic() < self._next_s:
            return
        line = f"{self._name}: {text}"
        if self._overwrites:
            self._write(f"\r{line:<{WIDTH}.{WIDTH}}")
        else:
            self._next_s = time.monotonic() + LINES_EVERY_S
            self._write(f"{line}\n")

    def _write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)
            self._stream.flush()
