"""Batches for the model: images read and padded as they are needed, tokens padded to the longest."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import pad
from torch.utils.data import Dataset

from tasks.image_paths import image_file
from tasks.model.images import pixels_of, read_image
from tasks.model.llava.prompt import IGNORE_INDEX, IMAGE_INDEX, expand_images
from tasks.model.loading import Processor
from tasks.training.samples import Sample


class SampleDataset(Dataset[dict[str, Any]]):
    """Samples with their images; each item has input_ids, labels and, with an image, pixel_values."""

    def __init__(self, samples: Sequence[Sample], images: Path, processor: Processor):
        self.samples, self.images, self.processor = samples, images, processor

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = self.samples[index]
        item: dict[str, Any] = self._tokens(sample)
        if IMAGE_INDEX in sample.encoded.input_ids and sample.image is not None:
            image = read_image(image_file(self.images, sample.image))
            item["pixel_values"] = torch.from_numpy(pixels_of(image, self.processor.image_processor))
        return item

    def _tokens(self, sample: Sample) -> dict[str, list[int]]:
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
    """An image that nothing is learned from: its token and how many it takes, and its height and width in pixels."""

    token_id: int
    tokens: int
    size: tuple[int, int]


def blank_image(processor: Processor) -> BlankImage:
    """A blank image as the processor's model takes images."""
    size = processor.image_processor.crop_size
    return BlankImage(processor.image_token_id, processor.image_tokens, (size["height"], size["width"]))


class Collator:
    """Pads items on the right to the longest of the batch and stacks their images.

    A batch without any image is given a blank one where nothing looks at it, behind all tokens and masked: of several
    processes, all must go through the tower and the projector in the same step, or they wait for each other for ever.
    """

    def __init__(self, padding_id: int, blank: BlankImage | None = None):
        self.padding_id, self.blank = padding_id, blank

    def __call__(self, items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
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
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])
