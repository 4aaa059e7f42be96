"""What a run is doing, from the end of its log."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tasks.files import read_tail
from tasks.worker_lines import answers_progress, step_progress

TAIL_BYTES = 4096
COARSE_S = 1.0


class LogEnds:
    """Reads what runs are doing from the ends of their logs; what was logged before this object exists is old."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        # the clock of a file system is coarser than this process's
        self._since_s, self._old_bytes = clock() - COARSE_S, dict[Path, int]()

    def activity_of(self, log: Path) -> str:
        """What the run of this log is doing."""
        found = log.stat() if log.exists() else None
        size = found.st_size if found else 0
        old = self._old_bytes.setdefault(log, size if found and found.st_mtime < self._since_s else 0)
        if size <= old:
            return "starting"
        return activity_in(read_tail(log, min(TAIL_BYTES, size - old)).decode(errors="replace").split("\n"))


def activity_in(lines: Sequence[str]) -> str:
    """The newest progress in the lines of a run's log."""
    for line in reversed(lines):
        if step := step_progress(line):
            return f"training, {step.description}"
        if answers := answers_progress(line):
            return f"{answers[0]} of {answers[1]} questions answered"
    return "preparing"
