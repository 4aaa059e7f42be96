"""Batches for the model: images read and padded as they are needed, tokens padded to the longest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from tasks.model.images import pixels_of, read_image
from tasks.model.loading import Reader
from tasks.model.prompt import IGNORE_INDEX, IMAGE_INDEX, expand_images
from tasks.training.samples import Sample


class SampleDataset(Dataset[dict[str, Any]]):
    """Samples with their images; each item has input_ids, labels and, with an image, pixel_values."""

    def __init__(self, samples: Sequence[Sample], images: Path, reader: Reader):
        self.samples, self.images, self.reader = samples, images, reader

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = self.samples[index]
        item: dict[str, Any] = self._tokens(sample)
        if IMAGE_INDEX in sample.encoded.input_ids and sample.image is not None:
            image = read_image(self.images / sample.image)
            item["pixel_values"] = torch.from_numpy(pixels_of(image, self.reader.image_processor))
        return item

    def _tokens(self, sample: Sample) -> dict[str, list[int]]:
        count = self.reader.image_tokens
        labels = [
            label
            for token, label in zip(sample.encoded.input_ids, sample.encoded.labels, strict=True)
            for label in ([IGNORE_INDEX] * count if token == IMAGE_INDEX else [label])
        ]
        ids = expand_images(sample.encoded.input_ids, self.reader.image_token_id, count)
        return {"input_ids": ids, "labels": labels}


class Collator:
    """Pads items on the right to the longest of the batch and stacks their images."""

    def __init__(self, padding_id: int):
        self.padding_id = padding_id

    def __call__(self, items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = {
            "input_ids": _padded([item["input_ids"] for item in items], self.padding_id),
            "labels": _padded([item["labels"] for item in items], IGNORE_INDEX),
            "attention_mask": _padded([[1] * len(item["input_ids"]) for item in items], 0),
        }
        pixels = [item["pixel_values"] for item in items if "pixel_values" in item]
        if pixels:
            batch["pixel_values"] = torch.stack(pixels)
        return batch


def _padded(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])
