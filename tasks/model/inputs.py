"""Prompts with their images as the tensors that a model's forward pass takes, for every model family."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tasks.model.encoding import IGNORE_INDEX, IMAGE_INDEX, EncodedConversation, expand_images

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from tasks.model.processor import Processor

Side = Literal["left", "right"]


@dataclass(frozen=True)
class ImageInputs:
    """One image: the token ids that take its place in the prompt, and the tensors that the model takes of it, by name.

    Each tensor is what the family's image processor returns for this image alone.
    """

    token_ids: list[int]
    tensors: "Mapping[str, torch.Tensor]"


@dataclass(frozen=True)
class Row:
    """One row of a batch: T token ids with all tokens of its images, T labels (empty for a prompt), and its images."""

    ids: list[int]
    labels: list[int]
    images: Sequence[ImageInputs] = ()


def prompt_row(ids: Sequence[int], images: Sequence[ImageInputs]) -> Row:
    """The row of a prompt; `ids` hold IMAGE_INDEX for each of `images`."""
    return Row(expand_images(ids, [image.token_ids for image in images]), [], images)


def sample_row(encoded: EncodedConversation, images: Sequence[ImageInputs]) -> Row:
    """The row of a conversation with labels; the tokens of its images have none."""
    tokens = [image.token_ids for image in images]
    ignored = [[IGNORE_INDEX] * len(image) for image in tokens]
    # an image's one label is IGNORE_INDEX, as that of a question's token: mark it to find it again
    labels = [
        IMAGE_INDEX if token == IMAGE_INDEX else label
        for token, label in zip(encoded.input_ids, encoded.labels, strict=True)
    ]
    return Row(expand_images(encoded.input_ids, tokens), expand_images(labels, ignored), images)


def batch_of(
    rows: Sequence[Row], processor: "Processor", side: Side = "right", blank: ImageInputs | None = None
) -> "dict[str, torch.Tensor]":
    """Pad rows to the longest (T) and batch their images.

    Returns `input_ids` (B, T), `attention_mask` (B, T; 1: token, 0: padding) and, if the rows have labels, `labels`
    (B, T; -100: ignored), all int64, and the tensors that the family's model takes of images and token types. A batch
    without images gets `blank` behind all other tokens, masked.
    """
    batch = {
        "input_ids": _padded([row.ids for row in rows], processor.padding_id, side),
        "attention_mask": _padded([[1] * len(row.ids) for row in rows], 0, side),
    }
    if rows[0].labels:
        batch["labels"] = _padded([row.labels for row in rows], IGNORE_INDEX, side)
    images = [row.images for row in rows]
    if blank is not None and not any(images):
        batch, images = _with_blank(batch, blank, processor.padding_id), [[blank], *images[1:]]
    if any(images):
        batch |= processor.batch_images(images)
    return batch | processor.token_types(batch)


def placed(batch: "Mapping[str, torch.Tensor]", model: "PreTrainedModel") -> "dict[str, torch.Tensor]":
    """A batch on a model's device, its floating-point tensors in the model's dtype."""
    return {
        name: value.to(model.device, model.dtype if value.is_floating_point() else None)
        for name, value in batch.items()
    }


def _with_blank(batch: "dict[str, torch.Tensor]", blank: ImageInputs, padding_id: int) -> "dict[str, torch.Tensor]":
    import torch
    from torch.nn.functional import pad

    fill = {"input_ids": padding_id, "labels": IGNORE_INDEX, "attention_mask": 0}
    count = len(blank.token_ids)
    longer = {name: pad(value, (0, count), value=fill[name]) for name, value in batch.items()}
    longer["input_ids"][0, -count:] = torch.tensor(blank.token_ids)
    return longer


def _padded(rows: Sequence[Sequence[int]], value: int, side: Side) -> "torch.Tensor":
    """Rows of different lengths as an int64 tensor (rows, longest), padded with `value`."""
    import torch

    longest = max(map(len, rows))
    fills = [[value] * (longest - len(row)) for row in rows]
    pairs = zip(rows, fills, strict=True)
    return torch.tensor([[*row, *fill] if side == "right" else [*fill, *row] for row, fill in pairs])
