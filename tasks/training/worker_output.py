"""The lines by which the training process tells people and its parent how far it is.

Its parent reads from them its first step, complete checkpoints, an end before its time, each logged step and where
curves are shown.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

BEGUN = "the first step is made: from now on, being asked to stop saves a checkpoint"
_SAVED = re.compile(r"checkpoint complete: checkpoint-(\d+)")
_STOPPED = re.compile(r"stopped, to be resumed from checkpoint-(\d+)")
_PROGRESS = re.compile(r"step (?P<step>\d+)/(?P<steps>\d+): loss (?P<loss>[^,]+), .*?(?P<left>\d+) s left")
_CURVES = re.compile(r"curves: (https?://\S+)")
# Name in the logs, how it is printed, and what it is multiplied with before.
_READINGS = (
    ("learning_rate", "learning rate {:.2e}", 1),
    ("projector_learning_rate", "projector {:.2e}", 1),
    ("epoch", "epoch {:.2f}", 1),
    ("samples_per_second", "{:.1f} samples/s", 1),
    ("tokens_per_second", "{:.0f} tokens/s", 1),
    ("padding_share", "{:.0f} % padding", 100),
    ("gpu_memory_gb", "GPU {:.1f} GB", 1),
    ("gpu_utilisation", "{:.0f} % busy", 100),
    ("cpu_memory_gb", "memory {:.1f} GB", 1),
    ("seconds_left", "{:.0f} s left", 1),
)


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


class Progress(NamedTuple):
    """How far a training is: steps done and in all, the loss as printed, and the seconds that are left."""

    step: int
    steps: int
    loss: str
    left_s: int


def step_line(step: int, steps: int, logs: Mapping[str, Any]) -> str:
    """What the worker prints at each log: loss, learning rates, speed, padding, memory and the time that is left."""
    known = [text.format(logs[name] * factor) for name, text, factor in _READINGS if name in logs]
    return f"step {step}/{steps}: loss {float(logs['loss']):.4f}, {', '.join(known)}"


def progress_of(line: str) -> Progress | None:
    """What a step's line says, or None for any other line."""
    match = _PROGRESS.fullmatch(line.strip())
    return Progress(int(match["step"]), int(match["steps"]), match["loss"], int(match["left"])) if match else None


def curves_line(address: str) -> str:
    """What the worker prints when Weights & Biases shows its curves."""
    return f"curves: {address}"


def curves_address(line: str) -> str | None:
    """The address of a curves line, or None for any other line."""
    match = _CURVES.fullmatch(line.strip())
    return match[1] if match else None


def _step(pattern: re.Pattern[str], line: str) -> int | None:
    match = pattern.fullmatch(line.strip())
    return int(match[1]) if match else None
