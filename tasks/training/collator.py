"""Batches for the model: images are read on access, sequences padded to the longest of the batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

import torch
from torch.nn.functional import pad
from torch.utils.data import Dataset

from tasks.image_paths import image_file
from tasks.model.images import pixels_of, read_image
from tasks.model.llava.prompt import IGNORE_INDEX, IMAGE_INDEX, expand_images
from tasks.model.loading import Processor
from tasks.training.samples import Sample


class SampleItem(TypedDict):
    """T ids and T labels, one per image token; if the sample shows an image, its float32 pixels (3, height, width)."""

    input_ids: list[int]
    labels: list[int]
    pixel_values: NotRequired[torch.Tensor]


class SampleDataset(Dataset[SampleItem]):
    """Samples with their images."""

    def __init__(self, samples: Sequence[Sample], images: Path, processor: Processor):
        self.samples, self.images, self.processor = samples, images, processor

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> SampleItem:
        sample = self.samples[index]
        item = self._tokens(sample)
        if IMAGE_INDEX in sample.encoded.input_ids and sample.image is not None:
            image = read_image(image_file(self.images, sample.image))
            item["pixel_values"] = torch.from_numpy(pixels_of(image, self.processor.image_processor))
        return item

    def _tokens(self, sample: Sample) -> SampleItem:
        count = self.processor.image_tokens
        labels = [
            label
            for token, label in zip(sample.encoded.input_ids, sample.encoded.labels, strict=True)
            for label in ([IGNORE_INDEX] * count if token == IMAGE_INDEX else [label])
        ]
        ids = expand_images(sample.encoded.input_ids, self.processor.image_token_id, count)
        return {"input_ids": ids, "labels": labels}


@dataclass(frozen=True)
class BlankImage:
    """A black image without labels: its token, the number of its tokens, and its (height, width) in pixels."""

    token_id: int
    tokens: int
    size: tuple[int, int]


def blank_image(processor: Processor) -> BlankImage:
    """A blank image in the size that the processor's model expects."""
    size = processor.image_processor.crop_size
    return BlankImage(processor.image_token_id, processor.image_tokens, (size["height"], size["width"]))


class Collator:
    """Pads items on the right to the longest of the batch and stacks their images.

    Returns `input_ids` (B, T), `labels` (B, T; -100: ignored) and `attention_mask` (B, T; 1: token, 0: padding), all
    int64, and `pixel_values` (images, 3, height, width) float32. A batch without images gets a blank one behind all
    other tokens, masked: all processes must run tower and projector in the same step, or they deadlock.
    """

    def __init__(self, padding_id: int, blank: BlankImage | None = None):
        self.padding_id, self.blank = padding_id, blank

    def __call__(self, items: Sequence[SampleItem]) -> dict[str, torch.Tensor]:
        batch = {
            "input_ids": _padded([item["input_ids"] for item in items], self.padding_id),
            "labels": _padded([item["labels"] for item in items], IGNORE_INDEX),
            "attention_mask": _padded([[1] * len(item["input_ids"]) for item in items], 0),
        }
        pixels = [item["pixel_values"] for item in items if "pixel_values" in item]
        if pixels:
            batch["pixel_values"] = torch.stack(pixels)
        elif self.blank is not None:
            batch = self._with_blank(batch, self.blank)
        return batch

    def _with_blank(self, batch: dict[str, torch.Tensor], blank: BlankImage) -> dict[str, torch.Tensor]:
        fill = {"input_ids": self.padding_id, "labels": IGNORE_INDEX, "attention_mask": 0}
        longer = {name: pad(value, (0, blank.tokens), value=fill[name]) for name, value in batch.items()}
        longer["input_ids"][0, -blank.tokens :] = blank.token_id
        return {**longer, "pixel_values": torch.zeros(1, 3, *blank.size)}


def _padded(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Rows of different lengths as an int64 tensor (rows, longest), padded on the right with `value`."""
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])
