"""The loss of a batch: cross-entropy of what is learned, in float32.

Logits are made only from the batch's first answer on: image and prompt, most of a sample, need none.
"""

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from tasks.model.llava.prompt import IGNORE_INDEX


def predict_answers(model: Any, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, Any]:
    """Logits (rows x tokens x vocabulary), the labels that they should foretell (rows x tokens), and all outputs."""
    labels = inputs["labels"]
    first = int((labels != IGNORE_INDEX).any(dim=0).int().argmax())
    others = {name: value for name, value in inputs.items() if name != "labels"}
    # the token before the first answer predicts its beginning
    outputs = model(**others, logits_to_keep=labels.shape[1] - first + 1, use_cache=False)
    return outputs.logits[:, :-1].float(), labels[:, first:], outputs


def mean_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean over all supervised tokens of a batch."""
    return cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE_INDEX)


def sample_losses(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each sample's summed loss and its number of supervised tokens."""
    losses = cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE_INDEX, reduction="none")
    return losses.view_as(labels).sum(dim=1), (labels != IGNORE_INDEX).sum(dim=1)
