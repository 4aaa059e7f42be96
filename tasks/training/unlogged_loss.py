"""The loss since the last log line: carried through checkpoints, so that a resumed run logs what an uninterrupted one
logs, and logged after the last step, however few steps that line is about.
"""

import math
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from tasks.errors import TrainingError
from tasks.training.loss_guard import guard_message, kind_of


class UnloggedLoss(TrainerCallback, ExportableState):
    """Keeps the sum of the losses of the steps that no log line tells yet, and when the last line was."""

    def __init__(self, trainer: Any):
        self.trainer, self.loss, self.sound = trainer, 0.0, 0

    def gather(self) -> None:
        """Take the mean of all processes; each of them must call this before a checkpoint is saved.

        Raises TrainingError where it is not finite: without it the checkpoint of lost weights would be kept, and the
        sound ones rotated away, before a log line tells.
        """
        self.loss = float(self.trainer.accelerator.gather(self.trainer._tr_loss).mean())
        step = self.trainer.state.global_step
        if not math.isfinite(self.loss):
            since = max(self._last_logged, self.sound) + 1
            raise TrainingError(guard_message(kind_of(self.loss), since, step))
        self.sound = step

    @property
    def _last_logged(self) -> int:
        return getattr(self.trainer, "_globalstep_last_logged", 0)

    def state(self) -> dict[str, Any]:
        return {"args": {}, "attributes": {"loss": self.loss, "last_logged": self._last_logged}}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        kept = state.stateful_callbacks.get(type(self).__name__, self.state())["attributes"]
        self.trainer._tr_loss += kept["loss"]
        self.trainer._globalstep_last_logged = kept["last_logged"]

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_log = True
