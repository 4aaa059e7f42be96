"""Pre-train the vision tower of the toy LLaVA alone, as CLIP is before LLaVA.

It learns from two fields of the lessons: `squares`, the names of what each patch shows, and `counts` of the objects.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, smooth_l1_loss
from torch.optim.lr_scheduler import LambdaLR

from tasks.files import read_json
from tasks.image_paths import image_file
from tasks.model.images import read_image
from tasks.model.llava.base_loading import load_base
from tasks.model.llava.processor import load_processor
from tasks.paths import TRAIN_SET
from tasks.records import DatasetRef

EPOCHS = 7
BATCH_SIZE = 48
LEARNING_RATE = 3e-3
WARMUP_STEPS = 20
LOGGING_STEPS = 50
# The crowns of a forest are not counted one by one.
MOST = 16


class Examples(NamedTuple):
    """Pixels (images, 3, height, width) float32, names (images, patches) int64 and counts (images, kinds) float32."""

    pixels: Tensor
    names: Tensor
    counts: Tensor

    def of(self, images: Tensor) -> "Examples":
        """The examples of some images, by their numbers."""
        return Examples(*(values[images] for values in self))


class Readout(nn.Module):
    """Linear readouts of features (B, patches, width): the name of each patch, and from their mean all counts.

    Counts that are linear in the mean are what a language model learns first to read.
    """

    def __init__(self, width: int, examples: Examples):
        super().__init__()
        self.names = nn.Linear(width, int(examples.names.max()) + 1)
        self.counts = nn.Linear(width, examples.counts.shape[1])
        # the kinds weigh about the same, and one that is always absent does not divide by zero
        self.scale = examples.counts.std(dim=0) + 0.3

    def loss(self, features: Tensor, examples: Examples) -> Tensor:
        """The mean loss of both readouts, a float32 scalar."""
        of_names = cross_entropy(self.names(features).flatten(0, 1), examples.names.flatten())
        return of_names + smooth_l1_loss(4 * self.counts(features.mean(dim=1)), examples.counts / self.scale)


def pretrain_tower(folder: Path, lessons: DatasetRef, seed: int) -> None:
    """Train the tower of the model in `folder` on the lessons, and save the model there."""
    model = load_base(folder, torch.float32)
    examples = _examples(folder, lessons)
    tower, layer = model.model.vision_tower, model.config.vision_feature_layer
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        readout = Readout(model.config.vision_config.hidden_size, examples)
        parameters = [*tower.parameters(), *readout.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
        steps = math.ceil(EPOCHS * len(examples.names) / BATCH_SIZE)
        schedule = LambdaLR(optimizer, lambda step: _share_of_rate(step, steps))
        for step, chosen in enumerate(_batches(len(examples.names), steps), start=1):
            batch = examples.of(chosen)
            # the features that the projector gets: without the class token
            features = tower(batch.pixels, output_hidden_states=True).hidden_states[layer][:, 1:]
            loss = readout.loss(features, batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            if step % LOGGING_STEPS == 0:
                print(f"vision tower: {step} of {steps} batches, loss {loss.item():.3f}", flush=True)
    model.save_pretrained(folder)


def _examples(folder: Path, lessons: DatasetRef) -> Examples:
    processor = load_processor(folder)
    records = read_json(lessons.path / TRAIN_SET)
    images = [processor.prepare(read_image(image_file(lessons.images, record["image"]))) for record in records]
    known = sorted({name for record in records for name in record["squares"]})
    numbers = {name: number for number, name in enumerate(known)}
    return Examples(
        torch.cat([image.tensors["pixel_values"] for image in images]),
        torch.tensor([[numbers[name] for name in record["squares"]] for record in records]),
        torch.tensor([[float(min(count, MOST)) for count in record["counts"].values()] for record in records]),
    )


def _batches(images: int, steps: int) -> Iterator[Tensor]:
    """Random image numbers (BATCH_SIZE,) int64 for each step, in whole passes over all images."""
    passes = math.ceil(steps * BATCH_SIZE / images)
    order = torch.cat([torch.randperm(images) for _ in range(passes)])
    yield from order[: steps * BATCH_SIZE].split(BATCH_SIZE)


def _share_of_rate(step: int, steps: int) -> float:
    """The share of LEARNING_RATE at a step: linear warm-up, then a cosine."""
    return min(1.0, (step + 1) / WARMUP_STEPS) * (1 + math.cos(math.pi * step / steps)) / 2
