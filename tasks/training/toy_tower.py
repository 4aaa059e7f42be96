"""Pre-train the vision tower of the toy LLaVA alone, as CLIP is before LLaVA: it learns what each patch shows.

The labels are the field `squares` of the lessons, one name for each patch.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR

from tasks.files import read_json
from tasks.image_paths import image_file
from tasks.model.images import read_image
from tasks.model.llava.base_loading import load_base
from tasks.model.llava.processor import load_processor
from tasks.paths import TRAIN_SET
from tasks.records import DatasetRef

EPOCHS = 6
BATCH_SIZE = 48
LEARNING_RATE = 3e-3
WARMUP_STEPS = 20
LOGGING_STEPS = 50


def pretrain_tower(folder: Path, lessons: DatasetRef, seed: int) -> None:
    """Train the tower of the model in `folder` with a linear classifier of patches, and save the model there."""
    model = load_base(folder, torch.float32)
    pixels, labels = _examples(folder, lessons)
    tower, layer = model.model.vision_tower, model.config.vision_feature_layer
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        classifier = nn.Linear(model.config.vision_config.hidden_size, int(labels.max()) + 1)
        parameters = [*tower.parameters(), *classifier.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
        steps = math.ceil(EPOCHS * len(labels) / BATCH_SIZE)
        schedule = LambdaLR(optimizer, lambda step: _share_of_rate(step, steps))
        for step, chosen in enumerate(_batches(len(labels), steps), start=1):
            # the features that the projector gets: without the class token
            features = tower(pixels[chosen], output_hidden_states=True).hidden_states[layer][:, 1:]
            loss = cross_entropy(classifier(features).flatten(0, 1), labels[chosen].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            if step % LOGGING_STEPS == 0:
                print(f"vision tower: {step} of {steps} batches, loss {loss.item():.3f}", flush=True)
    model.save_pretrained(folder)


def _examples(folder: Path, lessons: DatasetRef) -> tuple[Tensor, Tensor]:
    """Pixels (images, 3, height, width) float32 and labels (images, patches) int64 of the lessons."""
    processor = load_processor(folder)
    records = read_json(lessons.path / TRAIN_SET)
    images = [processor.prepare(read_image(image_file(lessons.images, record["image"]))) for record in records]
    names = sorted({name for record in records for name in record["squares"]})
    numbers = {name: number for number, name in enumerate(names)}
    labels = [[numbers[name] for name in record["squares"]] for record in records]
    return torch.cat([image.tensors["pixel_values"] for image in images]), torch.tensor(labels)


def _batches(images: int, steps: int) -> Iterator[Tensor]:
    """Random image numbers (BATCH_SIZE,) int64 for each step; no image twice in an epoch."""
    epochs = math.ceil(steps * BATCH_SIZE / images)
    order = torch.cat([torch.randperm(images) for _ in range(epochs)])
    yield from order[: steps * BATCH_SIZE].split(BATCH_SIZE)


def _share_of_rate(step: int, steps: int) -> float:
    """The share of LEARNING_RATE at a step: linear warm-up, then a cosine."""
    return min(1.0, (step + 1) / WARMUP_STEPS) * (1 + math.cos(math.pi * step / steps)) / 2
