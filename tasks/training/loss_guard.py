"""Ends a training whose loss says that nothing can be learned any more."""

import math
from typing import Any

from transformers import TrainerCallback

from tasks.errors import TrainingError

# Log lines in a row: a number that is none never becomes one again, a loss of 0 may be a batch of easy answers.
NOT_FINITE_LINES, ZERO_LINES = 3, 20


class LossGuard(TrainerCallback):
    """Raises TrainingError, on every rank, when the loss is NaN, infinite or exactly 0 for many log lines.

    From the first such line on nothing is saved, so that sound checkpoints are not rotated away for broken ones, and
    however few lines there are, a training does not end well with a loss that is NaN or infinite.
    """

    def __init__(self) -> None:
        self.kind, self.since, self.lines = "", 0, 0

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return
        kind = kind_of(float(logs["loss"]))
        if kind != self.kind:
            self.kind, self.since, self.lines = kind, state.global_step, 0
        self.lines += 1
        if kind:
            control.should_save = False
        if kind and self.lines >= (ZERO_LINES if kind == "0" else NOT_FINITE_LINES):
            raise TrainingError(guard_message(kind, self.since, state.global_step))

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.kind not in ("", "0"):
            raise TrainingError(guard_message(self.kind, self.since, state.global_step))


def guard_message(kind: str, since: int, step: int) -> str:
    """What ended the training: a loss of this kind since one step, now at another."""
    said = f"The loss has been {kind} since step {since}, now at step {step}"
    if kind == "0":
        return (
            f"{said}: nothing is learned; look at what the samples teach with `rsvlm inspect`, and lower learning_rate."
        )
    return (
        f"{said}: the weights are lost; lower learning_rate or raise warmup_ratio, and start again from the newest "
        "checkpoint, which is older than that."
    )


def kind_of(loss: float) -> str:
    """What is wrong with a loss: "not a number", "infinite", "0", or "" for nothing."""
    if math.isnan(loss):
        return "not a number"
    if math.isinf(loss):
        return "infinite"
    return "0" if loss == 0 else ""
