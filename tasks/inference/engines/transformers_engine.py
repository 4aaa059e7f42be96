"""The engine that runs a model in this process.

Each image is decoded and encoded once, and so is the prompt up to and including it: all its questions share the keys
and values. Models whose attention does not allow that are run by the BatchedEngine.
"""

from collections.abc import Sequence
from itertools import groupby, takewhile

import torch

from tasks.inference.engines.base import PreparedEngine
from tasks.inference.engines.batched_engine import BatchedEngine
from tasks.inference.engines.decoding import Decoding, log_probabilities, next_tokens
from tasks.inference.engines.generation import Generated, Row, generate_answers, generate_tokens
from tasks.inference.engines.model_engine import Asked, ModelEngine
from tasks.inference.engines.prefix_attention import Prefix, enable_prefixes
from tasks.inference.request import PredictRequest
from tasks.model.families import family_of
from tasks.model.inputs import ImageInputs
from tasks.model.loading import choose_device, choose_dtype, load_model

NOT_SHARED = (
    "The attention of this model does not let questions share the keys and values of an image: each is asked with its "
    "own, in padded batches."
)


def prepare(request: PredictRequest) -> PreparedEngine:
    """Prepare the engine of a request; the model is loaded with the first question."""
    config = request.config
    device = choose_device()
    dtype = str(choose_dtype(config.dtype, device)).removeprefix("torch.")
    decoding = Decoding(config.max_new_tokens, config.temperature, config.top_p, config.seed)
    family = family_of(request.model)
    shared = family.shares_prefix(family.read_config(request.model))

    def load() -> ModelEngine:
        loaded = load_model(request.model, request.adapter, config.dtype, request.projector)
        options = config.batch_size, config.image_workers, config.transform
        return (TransformersEngine if shared else BatchedEngine)(loaded, request.images, decoding, *options)

    kind = "transformers" if shared else "transformers batched"
    fingerprint = f"{kind} {dtype} {device.type}"
    return PreparedEngine(fingerprint, load, dtype, exact=None if shared else False, note="" if shared else NOT_SHARED)


class TransformersEngine(ModelEngine):
    """Answers as if each prompt were asked alone: exactly so in float32, whatever the batch."""

    # name, image and prefix of the last batch, if all its questions were about one image
    _kept: tuple[str, ImageInputs, Prefix] | None = None

    def set_up(self) -> None:
        enable_prefixes(self._loaded.model)

    def kept_image(self, name: str) -> ImageInputs | None:
        return self._kept[1] if self._kept and self._kept[0] == name else None

    def forget(self) -> None:
        self._kept = None

    def generate(self, asked: Sequence[Asked]) -> list[Generated]:
        # prefixes of one batch have equal tokens: with dynamic resolution, images of a size go together
        answers: dict[str, Generated] = {}
        for _, same in groupby(sorted(asked, key=_shown_tokens), key=_shown_tokens):
            some = list(same)
            answers |= zip((one.question.key for one in some), self._generate(some), strict=True)
        return [answers[one.question.key] for one in asked]

    def _generate(self, asked: Sequence[Asked]) -> list[Generated]:
        """Answers to questions whose prompts are equal up to the image."""
        images = {one.question.image or "": one.image for one in asked}
        prefix = self._prefix_of(asked[0].prompt.shown, images)
        numbers = {name: number for number, name in enumerate(images)}
        rows = [
            Row(numbers[one.question.image or ""], one.prompt.asked, self._decoding.sampler(one.question.key))
            for one in asked
        ]
        return generate_answers(self._loaded, prefix, rows, self._stops, self._decoding)

    def _prefix_of(self, ids: Sequence[int], images: dict[str, ImageInputs]) -> Prefix:
        """Keys and values of the prompt `ids`, up to and including the image, with each of the images."""
        (name, image), *others = images.items()
        if self._kept and not others and self._kept[0] == name:
            return self._kept[2]
        # free the last one before the next takes its memory
        self.forget()
        loaded = self._loaded
        prefix = Prefix.of(loaded.family.prefill(loaded.model, loaded.processor, ids, list(images.values())))
        if not others:
            self._kept = (name, image, prefix)
        return prefix

    def generate_alone(self, asked: Asked) -> Generated:
        loaded, sampler = self._loaded, self._decoding.sampler(asked.question.key)
        known: list[float] = []

        def next_token(logits: torch.Tensor) -> int:
            tokens = next_tokens(logits, [sampler], self._decoding)
            known.extend(log_probabilities(logits, tokens, self._decoding))
            return tokens[0]

        start = loaded.family.prefill(loaded.model, loaded.processor, asked.prompt.ids, [asked.image])
        tokens = generate_tokens(loaded, start, self._stops, self._decoding.max_new_tokens, next_token)
        return Generated(list(takewhile(lambda token: token not in self._stops, tokens)), known)


def _shown_tokens(asked: Asked) -> list[int]:
    return asked.prompt.shown
