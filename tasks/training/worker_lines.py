"""The lines by which the training process tells its parent of complete checkpoints and of an end before its time."""

import re

_SAVED = re.compile(r"checkpoint complete: checkpoint-(\d+)")
_STOPPED = re.compile(r"stopped, to be resumed from checkpoint-(\d+)")


def saved_line(step: int) -> str:
    """What the worker prints when a checkpoint is complete."""
    return f"checkpoint complete: checkpoint-{step}"


def saved_step(line: str) -> int | None:
    """The step of a saved line, or None for any other line."""
    return _step(_SAVED, line)


def stopped_line(step: int) -> str:
    """What the worker prints when it was asked to stop and has saved."""
    return f"stopped, to be resumed from checkpoint-{step}"


def stopped_step(line: str) -> int | None:
    """The step of a stopped line, or None for any other line."""
    return _step(_STOPPED, line)


def _step(pattern: re.Pattern[str], line: str) -> int | None:
    match = pattern.fullmatch(line.strip())
    return int(match[1]) if match else None
