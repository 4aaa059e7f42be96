"""A run's log: all lines of a child process go to a file, and to Prefect no more than its database can take."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from prefect import get_run_logger

from tasks.worker_lines import IS_IN_LOG

# Each line is a row in the database of Prefect's server; a training prints a few per second.
MAX_LINES, PERIOD_S = 200, 10.0


@contextmanager
def lines_to(log: Path) -> Iterator[Callable[[str], None]]:
    """Yield a function that appends a line to the file `log` and sends it to Prefect's log, within its line limit."""
    log.parent.mkdir(parents=True, exist_ok=True)
    logger = get_run_logger()
    limit = LineLimit(lambda line: logger.info("%s", line, extra={IS_IN_LOG: True}), str(log))
    # line by line: people follow the file
    with closing(limit), log.open("a", encoding="utf-8", buffering=1) as file:

        def write(line: str) -> None:
            file.write(line + "\n")
            limit.add(line)

        yield write


class LineLimit:
    """Passes on at most `max_lines` lines per `period_s` seconds, and says how many it dropped."""

    def __init__(
        self,
        show: Callable[[str], None],
        complete_log: str,
        max_lines: int = MAX_LINES,
        period_s: float = PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
    ):
        """`complete_log` names the file that has all lines."""
        self._show, self._complete_log = show, complete_log
        self._max_lines, self._period_s, self._clock = max_lines, period_s, clock
        self._began, self._shown, self._dropped = clock(), 0, 0

    def add(self, line: str) -> None:
        """Pass a line on, or count it as dropped."""
        now = self._clock()
        if now - self._began >= self._period_s:
            self.close()
            self._began, self._shown = now, 0
        if self._shown < self._max_lines:
            self._shown += 1
            self._show(line)
            return
        if not self._dropped:
            limit = f"More than {self._max_lines} lines in {self._period_s:g} s"
            self._show(f"{limit}: the next are only in {self._complete_log}.")
        self._dropped += 1

    def close(self) -> None:
        """Report how many lines were dropped, if any."""
        if self._dropped:
            self._show(f"{self._dropped} lines are left out here; they are in {self._complete_log}.")
        self._dropped = 0
