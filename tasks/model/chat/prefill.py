"""Run prompts with their images through a model's own forward pass."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from tasks.model.family import Prefilled
from tasks.model.inputs import ImageInputs, Row, batch_of, placed

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tasks.model.processor import Processor


@torch.no_grad()
def prefill(
    model: "PreTrainedModel",
    processor: "Processor",
    ids: Sequence[int],
    images: Sequence[ImageInputs],
    first_position: int,
) -> Prefilled:
    """Keys, values and last logits of a prompt `ids` (T,) with each image; its first token is at `first_position`."""
    batch = batch_of([Row(list(ids), [], [image]) for image in images], processor)
    output = model(**placed(batch, model), use_cache=True, logits_to_keep=1)
    positions = torch.full((len(images),), first_position + len(ids), device=model.device)
    return Prefilled(output.past_key_values, output.logits[:, -1], positions + _taken_shifts(model))


def _taken_shifts(model: "PreTrainedModel") -> torch.Tensor | int:
    """By how much M-RoPE's positions after the prompts differ from their indices, (B,) int64; 0 without M-RoPE.

    The model keeps them for its next step and would apply them to other prompts: they are removed.
    """
    for module in model.modules():
        shifts = getattr(module, "rope_deltas", None)
        if shifts is not None:
            module.rope_deltas = None
            taken: torch.Tensor = shifts.flatten()
            return taken
    return 0
