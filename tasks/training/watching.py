"""Shows a training that runs elsewhere: hears its lines and passes on, now and then, how far it is."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from tasks.training.worker_output import Progress, curves_address, progress_of

# A training may print several lines a second, and each update is a request to a server.
EVERY_S = 5.0


class Board(Protocol):
    """Where it is shown."""

    def show_progress(self, percent: float, description: str) -> None:
        """Show how far it is, 0 to 100."""
        ...

    def show_link(self, address: str) -> None:
        """Show where its curves are."""
        ...


class Watcher:
    """Hears every line of a training; the board is told at once of the first and last step, else every few seconds."""

    def __init__(self, board: Board, clock: Callable[[], float] = time.monotonic, every_s: float = EVERY_S):
        self._board, self._clock, self._every_s = board, clock, every_s
        self._told_at: float | None = None

    def hear(self, line: str) -> None:
        """Pass on what a line says, if anything."""
        if (address := curves_address(line)) is not None:
            self._board.show_link(address)
        if (progress := progress_of(line)) is not None and self._is_time(progress):
            self._told_at = self._clock()
            self._board.show_progress(100 * progress.step / progress.steps, describe(progress))

    def _is_time(self, progress: Progress) -> bool:
        if self._told_at is None or progress.step >= progress.steps:
            return True
        return self._clock() - self._told_at >= self._every_s


def describe(progress: Progress) -> str:
    """One line for people: step, loss and time left."""
    left = f", {timedelta(seconds=progress.left_s)} left" if progress.left_s else ""
    return f"step {progress.step} of {progress.steps}, loss {progress.loss}{left}"
