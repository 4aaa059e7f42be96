"""The loss since the last log line, carried through checkpoints: a resumed run logs what an uninterrupted one logs."""

from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState


class UnloggedLoss(TrainerCallback, ExportableState):
    """Keeps the sum of the losses of the steps that no log line tells yet, and when the last line was."""

    def __init__(self, trainer: Any):
        self.trainer, self.loss = trainer, 0.0

    def gather(self) -> None:
        """Take the mean of all processes; each of them must call this before a checkpoint is saved."""
        self.loss = float(self.trainer.accelerator.gather(self.trainer._tr_loss).mean())

    def state(self) -> dict[str, Any]:
        last_logged = getattr(self.trainer, "_globalstep_last_logged", 0)
        return {"args": {}, "attributes": {"loss": self.loss, "last_logged": last_logged}}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        kept = state.stateful_callbacks.get(type(self).__name__, self.state())["attributes"]
        self.trainer._tr_loss += kept["loss"]
        self.trainer._globalstep_last_logged = kept["last_logged"]
