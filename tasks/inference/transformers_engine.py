"""The engine that runs a LLaVA model in this process, batch by batch, greedily.

An image is decoded and encoded once for all questions that stand side by side.
"""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from tasks.errors import DataError
from tasks.inference.engine import Refusal, batches_by_image, read_images, refuse
from tasks.inference.generating import embed_prompt, encode_images, generate_greedily
from tasks.inference.prompts import encode_asked, stop_tokens, text_of
from tasks.model.images import pixels_of, read_image
from tasks.model.loading import LoadedModel
from tasks.records import Answer, Question


class TransformersEngine:
    """Answers do not depend on the batch: in float32 they are those of one prompt at a time."""

    def __init__(self, loaded: LoadedModel, images: Path, batch_size: int, max_new_tokens: int):
        self._loaded, self._images = loaded, images
        self._batch_size, self._max_new_tokens = batch_size, max_new_tokens
        self._stops = stop_tokens(loaded)
        self._features: dict[str, Any] = {}

    @property
    def fingerprint(self) -> str:
        return f"transformers {str(self._loaded.model.dtype).removeprefix('torch.')} {self._loaded.device.type}"

    def answer(self, questions: Sequence[Question]) -> Iterator[list[Answer | Refusal]]:
        for batch in batches_by_image(questions, self._batch_size):
            self._features = self._encode_images(batch)
            prompts: dict[str, list[int]] = {}
            refusals: list[Answer | Refusal] = []
            for question in batch:
                try:
                    prompts[question.key] = self._encode(question)
                except DataError as error:
                    refusals.append(refuse(question, error))
            asked = [question for question in batch if question.key in prompts]
            yield refusals + self._generate(asked, [prompts[question.key] for question in asked])

    def _encode_images(self, batch: Sequence[Question]) -> dict[str, Any]:
        """Features, or the error, of each image of a batch; those of the batch before are taken over."""
        kept = {q.image: self._features[q.image] for q in batch if q.image in self._features}
        new = read_images([question for question in batch if question.image not in kept], self._read_pixels)
        pixels = {name: image for name, image in new.items() if not isinstance(image, DataError)}
        features = encode_images(self._loaded.model, list(pixels.values())) if pixels else []
        return {**kept, **new, **dict(zip(pixels, features, strict=True))}

    def _read_pixels(self, name: str) -> Any:
        return pixels_of(read_image(self._images / name), self._loaded.image_processor)

    def _encode(self, question: Question) -> list[int]:
        features = self._features[question.image or ""]
        if isinstance(features, DataError):
            raise features
        return encode_asked(self._loaded, question.turns, self._max_new_tokens)

    def _generate(self, asked: Sequence[Question], prompts: Sequence[list[int]]) -> list[Answer | Refusal]:
        if not asked:
            return []
        model, token = self._loaded.model, self._loaded.image_token_id
        rows = [
            embed_prompt(model, ids, token, self._features[question.image or ""])
            for question, ids in zip(asked, prompts, strict=True)
        ]
        steps = list(generate_greedily(model, rows, self._stops, self._max_new_tokens))
        return [self._read_row(question, [step[row] for step in steps]) for row, question in enumerate(asked)]

    def _read_row(self, question: Question, row: Sequence[int]) -> Answer:
        ids = list(takewhile(lambda token: token not in self._stops, row))
        return Answer(key=question.key, text=text_of(self._loaded.tokenizer, ids), tokens=len(ids))
