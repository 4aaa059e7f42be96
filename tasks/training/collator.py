"""Batches for the model: images are read on access, sequences padded to the longest of the batch."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import Dataset

from tasks.image_paths import image_file
from tasks.model.encoding import IMAGE_INDEX
from tasks.model.images import read_image
from tasks.model.inputs import Row, batch_of, sample_row
from tasks.model.processor import Processor
from tasks.training.samples import Sample


class SampleDataset(Dataset[Row]):
    """Samples with their images."""

    def __init__(self, samples: Sequence[Sample], images: Path, processor: Processor):
        self.samples, self.images, self.processor = samples, images, processor

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Row:
        sample = self.samples[index]
        # a truncated sample may not show all images of its record
        shown = sample.images[: sample.encoded.input_ids.count(IMAGE_INDEX)]
        images = [self.processor.prepare(read_image(image_file(self.images, image))) for image in shown]
        return sample_row(sample.encoded, images)


class Collator:
    """Pads rows on the right to the longest of the batch and batches their images, as batch_of does.

    A batch without images gets a blank one behind all other tokens, masked: all processes must run tower and projector
    in the same step, or they deadlock.
    """

    def __init__(self, processor: Processor):
        self._processor, self._blank = processor, processor.blank_image()

    def __call__(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        return batch_of(rows, self._processor, blank=self._blank)
