"""Validation in the course of training: the loss on the validation set, and the checkpoint where it was best."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from tasks.errors import ConfigError
from tasks.paths import BEST
from tasks.settings import TrainingConfig
from tasks.storage.checkpoints.staging import read_marker
from tasks.training.checkpoints import publish_final


class ValidateAtEnd(TrainerCallback):
    """Validates after the last step too, wherever the settings let the validations fall.

    By epochs, transformers validates when the last step is saved: its checkpoint would not tell of it, and would be
    written once more where it is the best, over files that wait for the store. Here it belongs to the step.
    """

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        ends = state.global_step >= state.max_steps or (args.eval_strategy == "epoch" and state.epoch % 1 == 0)
        if ends and args.eval_strategy != "no":
            control.should_evaluate = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_evaluate = False


def validation_loss(prediction: Any) -> dict[str, float]:
    """Mean loss of a validation, from each sample's summed loss (`predictions`) and supervised tokens (`label_ids`).

    Every supervised token counts the same, so that neither batch size nor the number of processes changes it.
    """
    return {"loss": float(prediction.predictions.astype("float64").sum() / prediction.label_ids.sum())}


def require_validation(samples: Sequence[Any], config: TrainingConfig) -> None:
    """Raise ConfigError when validations are asked for and there is nothing to validate with."""
    if config.eval_strategy != "no" and not samples:
        raise ConfigError(
            "The validation set holds no sample: lower data.train or data.test so that some are left for it, or set "
            "training.eval_strategy=no."
        )


def keep_best(training: Path, step: int | None) -> None:
    """Put the model of checkpoint-`step` into `best`, where rotation does not reach, unless it is there already.

    Nothing happens without a step, or where its checkpoint has been rotated away.
    """
    checkpoint, best = training / f"checkpoint-{step}", training / BEST
    if step is not None and _step_in(checkpoint) == step != _step_in(best):
        publish_final(checkpoint, best)


def _step_in(folder: Path) -> int | None:
    """The step of a complete checkpoint, or None where there is none."""
    step = read_marker(folder).get("step")
    return step if isinstance(step, int) else None


class TokenCount:
    """Counts the tokens that went through the model and the padding beside them, without holding up a GPU."""

    def __init__(self) -> None:
        self._tokens: torch.Tensor | int = 0
        self._places = 0

    def add(self, attention_mask: torch.Tensor) -> None:
        """Count a micro-batch by its mask, rows x tokens: 1 for a token, 0 for padding."""
        # stays on the device: reading it here would wait for all that the device still has to do
        self._tokens = self._tokens + attention_mask.sum()
        self._places += attention_mask.numel()

    def take(self, accelerator: Any) -> dict[str, float]:
        """`tokens` of all processes since the last call, and the `padding_share` of all places, 0 to 1."""
        counted = torch.tensor([int(self._tokens), self._places], dtype=torch.float64)
        tokens, places = accelerator.reduce(counted.to(accelerator.device), "sum").tolist()
        self._tokens, self._places = 0, 0
        return {"tokens": tokens, "padding_share": 1 - tokens / places} if places else {}
