"""The loss on the validation set during training, the best checkpoint, and the token count of the log."""

from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from transformers import EvalPrediction

from tasks.errors import ConfigError
from tasks.paths import BEST, checkpoint_name
from tasks.settings import TrainingConfig
from tasks.storage.checkpoints.staging import read_marker
from tasks.training.saved_checkpoints import publish_final


def validation_loss(prediction: EvalPrediction) -> dict[str, float]:
    """Mean loss per supervised token, from each sample's summed loss and number of supervised tokens.

    `predictions` and `label_ids` are arrays (samples,). Every token has the same weight, so the result depends neither
    on the batch size nor on the number of processes.
    """
    return {"loss": float(prediction.predictions.astype("float64").sum() / prediction.label_ids.sum())}


def require_validation(samples: Sequence[object], config: TrainingConfig) -> None:
    """Raise ConfigError if validation is enabled and there are no samples for it."""
    if config.eval_strategy != "no" and not samples:
        raise ConfigError(
            "The validation set has no samples: lower data.train or data.test to leave some for it, or set "
            "training.eval_strategy=no."
        )


def keep_best(training: Path, step: int | None) -> None:
    """Publish the model of checkpoint-`step` as `best`, which is never rotated away, unless it is that already.

    Does nothing without a step, or if its checkpoint has been rotated away.
    """
    if step is None:
        return
    checkpoint, best = training / checkpoint_name(step), training / BEST
    if _step_in(checkpoint) == step != _step_in(best):
        publish_final(checkpoint, best)


def _step_in(folder: Path) -> int | None:
    """The step of a complete checkpoint, or None if there is none."""
    step = read_marker(folder).get("step")
    return step if isinstance(step, int) else None


class TokenCount:
    """Counts the tokens that the model processed, and their padding, without synchronising with the GPU."""

    def __init__(self) -> None:
        self._tokens: torch.Tensor | int = 0
        self._slots = 0

    def add(self, attention_mask: torch.Tensor) -> None:
        """Count a micro-batch by its mask (B, T) int64: 1 for a token, 0 for padding."""
        # stays on the device: reading it here would wait for all queued work
        self._tokens = self._tokens + attention_mask.sum()
        self._slots += attention_mask.numel()

    def take(self, accelerator: Accelerator) -> dict[str, float]:
        """`tokens` of all processes since the last call, and the `padding_share` of their batches, 0 to 1."""
        counted = torch.tensor([int(self._tokens), self._slots], dtype=torch.float64)
        tokens, slots = accelerator.reduce(counted.to(accelerator.device), "sum").tolist()
        self._tokens, self._slots = 0, 0
        return {"tokens": tokens, "padding_share": 1 - tokens / slots} if slots else {}
