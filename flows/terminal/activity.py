"""What a run is doing, from the end of its log."""

from collections.abc import Sequence
from pathlib import Path

from tasks.files import read_tail
from tasks.worker_lines import answers_progress, step_progress

TAIL_BYTES = 4096


def activity_of(log: Path) -> str:
    """What a run is doing, by the last lines of its log."""
    if not log.exists():
        return "starting"
    return activity_in(read_tail(log, TAIL_BYTES).decode(errors="replace").split("\n"))


def activity_in(lines: Sequence[str]) -> str:
    """The newest progress in the lines of a run's log."""
    for line in reversed(lines):
        if step := step_progress(line):
            return f"training, {step.description}"
        if answers := answers_progress(line):
            return f"{answers[0]} of {answers[1]} questions answered"
    return "preparing"
