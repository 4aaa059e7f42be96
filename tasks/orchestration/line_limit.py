"""Lines that come faster than anyone reads: so many in a while are shown, of the others their number."""

import time
from collections.abc import Callable

# Each line is a row in the database of Prefect's server; a training says a few in a second.
MOST, EVERY_S = 200, 10.0


class LineLimit:
    """Shows at most `most` lines in each `every_s` seconds; says when it begins to leave lines out, and how many."""

    def __init__(
        self,
        show: Callable[[str], None],
        whole: str,
        most: int = MOST,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ):
        """`whole` says where all lines are."""
        self._show, self._whole, self._most, self._every_s, self._clock = show, whole, most, every_s, clock
        self._began, self._shown, self._left_out = clock(), 0, 0

    def hear(self, line: str) -> None:
        """Show a line, or count it."""
        now = self._clock()
        if now - self._began >= self._every_s:
            self.close()
            self._began, self._shown = now, 0
        if self._shown < self._most:
            self._shown += 1
            self._show(line)
            return
        if not self._left_out:
            self._show(f"More than {self._most} lines in {self._every_s:g} s: the next are only in {self._whole}.")
        self._left_out += 1

    def close(self) -> None:
        """Say how many lines were left out, if any."""
        if self._left_out:
            self._show(f"{self._left_out} lines are left out here; they are in {self._whole}.")
        self._left_out = 0
