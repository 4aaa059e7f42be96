"""The line by which the training process tells its parent of a complete checkpoint."""

import re

_SAVED = re.compile(r"checkpoint complete: checkpoint-(\d+)")


def saved_line(step: int) -> str:
    """What the worker prints when a checkpoint is complete."""
    return f"checkpoint complete: checkpoint-{step}"


def saved_step(line: str) -> int | None:
    """The step of a saved line, or None for any other line."""
    match = _SAVED.fullmatch(line.strip())
    return int(match[1]) if match else None
