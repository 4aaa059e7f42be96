"""Callbacks around the logged loss: end a training that diverged, and carry the unlogged loss through a resume."""

import math

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from tasks.errors import TrainingError

# Consecutive log lines: NaN never recovers, a loss of 0 may come from a batch of easy answers.
NOT_FINITE_LINES, ZERO_LINES = 3, 20


class LossGuard(TrainerCallback):
    """Raises TrainingError, on every rank, when the loss is NaN, infinite or exactly 0 for many log lines.

    After the first such line nothing is saved, so that good checkpoints are not rotated away for bad ones. A training
    that ends with a loss that is NaN or infinite fails, however few lines there are.
    """

    def __init__(self) -> None:
        self.kind, self.since, self.lines = "", 0, 0

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
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

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if self.kind not in ("", "0"):
            raise TrainingError(guard_message(self.kind, self.since, state.global_step))


def guard_message(kind: str, since: int, step: int) -> str:
    """Error message for a loss of this kind from step `since` to step `step`."""
    what = f"The loss has been {kind} since step {since}, now at step {step}"
    if kind == "0":
        return f"{what}: nothing is learned; check the samples with `rsvlm inspect`, and lower learning_rate."
    return (
        f"{what}: the weights are lost; lower learning_rate or raise warmup_ratio, and resume from the newest "
        "checkpoint, which was saved before that."
    )


def kind_of(loss: float) -> str:
    """What is wrong with a loss: "NaN", "infinite", "0", or "" if nothing is."""
    if math.isnan(loss):
        return "NaN"
    if math.isinf(loss):
        return "infinite"
    return "0" if loss == 0 else ""


class UnloggedLoss(TrainerCallback, ExportableState):
    """Saves the summed loss since the last log line in checkpoints, so that a resumed run logs the same values.

    Also has the last step logged, however few steps its line covers.
    """

    def __init__(self, trainer: Trainer):
        self.trainer, self.loss, self.last_finite_step = trainer, 0.0, 0

    def gather(self) -> None:
        """Take the mean over all processes; each process must call this before a checkpoint is saved.

        Raises TrainingError if it is not finite: otherwise a checkpoint of lost weights would be saved, and good ones
        rotated away, before the next log line.
        """
        self.loss = float(self.trainer.accelerator.gather(self.trainer._tr_loss).mean())
        step = self.trainer.state.global_step
        if not math.isfinite(self.loss):
            since = max(self._last_logged, self.last_finite_step) + 1
            raise TrainingError(guard_message(kind_of(self.loss), since, step))
        self.last_finite_step = step

    @property
    def _last_logged(self) -> int:
        return getattr(self.trainer, "_globalstep_last_logged", 0)

    def state(self) -> dict[str, dict[str, float]]:
        return {"args": {}, "attributes": {"loss": self.loss, "last_logged": self._last_logged}}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        # the class name is the key in the trainer_state.json of existing checkpoints
        saved = state.stateful_callbacks.get(type(self).__name__, self.state())["attributes"]
        self.trainer._tr_loss += saved["loss"]
        self.trainer._globalstep_last_logged = saved["last_logged"]

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if state.global_step >= state.max_steps:
            control.should_log = True
