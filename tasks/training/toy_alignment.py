"""Align the vision of the toy LLaVA with its words before it learns from instructions, as CLIP and the projector are.

The projected features of each patch learn to point at the embeddings of the words for what the patch shows, with the
sigmoid loss of SigLIP (arXiv:2303.15343). The words are those of the lessons' field `squares`.
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize
from torch.optim.lr_scheduler import LambdaLR
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerBase

from tasks.files import read_json
from tasks.image_paths import image_file
from tasks.model.images import read_image
from tasks.model.llava.base_loading import load_base
from tasks.model.llava.processor import load_processor
from tasks.paths import TRAIN_SET
from tasks.records import DatasetRef
from tasks.worker_lines import step_line

EPOCHS = 16
BATCH_SIZE = 48
LEARNING_RATE = 3e-3
WARMUP_STEPS = 20
# Numbers are the hardest to see: their words also compete with each other.
NUMBER_WEIGHT = 0.1
NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six", "many")
LOGGING_STEPS = 50


class Examples(NamedTuple):
    """Pixels (images, 3, height, width) float32, token ids (tokens,) int64 and which of them fit each patch.

    `fitting` (images, patches, tokens) is float32, 1 for the tokens of a patch's words; `numbers` (words,) int64 holds
    the columns of the number words.
    """

    pixels: Tensor
    tokens: Tensor
    fitting: Tensor
    numbers: Tensor


class Similarity(nn.Module):
    """Logits (B, patches, tokens) from projected features (B, patches, width) and embeddings (tokens, width)."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.bias = nn.Parameter(torch.tensor(10.0)), nn.Parameter(torch.tensor(-3.0))

    def forward(self, features: Tensor, embeddings: Tensor) -> Tensor:
        """Scaled and shifted cosines."""
        return self.scale * normalize(features, dim=-1) @ normalize(embeddings, dim=-1).T + self.bias


def align_vision(folder: Path, lessons: DatasetRef, seed: int) -> None:
    """Train tower, projector and word embeddings of the model in `folder` on the lessons, and save the model there."""
    model = load_base(folder, torch.float32)
    examples = _examples(folder, lessons)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        _train(model, examples)
    model.save_pretrained(folder)


def _train(model: LlavaForConditionalGeneration, examples: Examples) -> None:
    similarity = Similarity()
    embeddings = model.get_input_embeddings()
    parts = (model.model.vision_tower, model.model.multi_modal_projector, embeddings, similarity)
    parameters = [weights for part in parts for weights in part.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    steps = math.ceil(EPOCHS * len(examples.pixels) / BATCH_SIZE)
    schedule = LambdaLR(optimizer, lambda step: _share_of_rate(step, steps))
    began = time.monotonic()
    for step, chosen in enumerate(_batches(len(examples.pixels), steps), start=1):
        features = _projected(model, examples.pixels[chosen])
        logits = similarity(features, embeddings.weight[examples.tokens])
        loss = _loss(logits, examples.fitting[chosen], examples.numbers)
        optimizer.zero_grad()
        # features as long as words: the language model starts from both alike
        (loss + (_length(features) - _length(embeddings.weight).detach()) ** 2).backward()
        optimizer.step()
        schedule.step()
        if step % LOGGING_STEPS == 0:
            left_s = (steps - step) * (time.monotonic() - began) / step
            print(step_line(step, steps, {"loss": loss.item(), "seconds_left": left_s}), flush=True)


def _loss(logits: Tensor, fitting: Tensor, numbers: Tensor) -> Tensor:
    """The loss of SigLIP for all words, and a cross entropy among the number words where one fits."""
    loss = binary_cross_entropy_with_logits(logits, fitting)
    counted = fitting[..., numbers].sum(dim=-1) == 1
    if not counted.any():
        return loss
    number = fitting[..., numbers][counted].argmax(dim=-1)
    return loss + NUMBER_WEIGHT * cross_entropy(logits[..., numbers][counted], number)


def _projected(model: LlavaForConditionalGeneration, pixels: Tensor) -> Tensor:
    """The projected features (B, patches, width), those of the class token left out."""
    layer = model.config.vision_feature_layer
    states = model.model.vision_tower(pixels, output_hidden_states=True).hidden_states
    return model.model.multi_modal_projector(states[layer][:, 1:])


def _length(vectors: Tensor) -> Tensor:
    return vectors.norm(dim=-1).mean()


def _examples(folder: Path, lessons: DatasetRef) -> Examples:
    processor = load_processor(folder)
    records = read_json(lessons.path / TRAIN_SET)
    images = [processor.prepare(read_image(image_file(lessons.images, record["image"]))) for record in records]
    squares = [record["squares"] for record in records]
    ids = {words: _ids(processor.tokenizer, words) for words in {words for of_image in squares for words in of_image}}
    tokens = torch.tensor(sorted(set().union(*ids.values())))
    rows = {words: _among(tokens, of_words).float() for words, of_words in ids.items()}
    return Examples(
        pixels=torch.cat([image.tensors["pixel_values"] for image in images]),
        tokens=tokens,
        fitting=torch.stack([torch.stack([rows[words] for words in of_image]) for of_image in squares]),
        numbers=_among(tokens, _ids(processor.tokenizer, " ".join(NUMBER_WORDS))).nonzero()[:, 0],
    )


def _ids(tokenizer: PreTrainedTokenizerBase, words: str) -> set[int]:
    # after a space, as within a sentence
    return set(tokenizer(f" {words}", add_special_tokens=False).input_ids)


def _among(tokens: Tensor, chosen: set[int]) -> Tensor:
    return torch.isin(tokens, torch.tensor(sorted(chosen)))


def _batches(images: int, steps: int) -> Iterator[Tensor]:
    """Random image numbers (BATCH_SIZE,) int64 for each step, in whole passes over all images."""
    passes = math.ceil(steps * BATCH_SIZE / images)
    order = torch.cat([torch.randperm(images) for _ in range(passes)])
    yield from order[: steps * BATCH_SIZE].split(BATCH_SIZE)


def _share_of_rate(step: int, steps: int) -> float:
    """The share of LEARNING_RATE at a step: linear warm-up, then a cosine."""
    return min(1.0, (step + 1) / WARMUP_STEPS) * (1 + math.cos(math.pi * step / steps)) / 2
