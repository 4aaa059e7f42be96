"""The engine that runs a LLaVA model in this process.

An image is decoded and encoded once, and so is the prompt up to and including it: all its questions share the keys
and values. Batches are as large as memory takes.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

import torch

from tasks.errors import DataError, ModelError
from tasks.image_paths import image_file
from tasks.inference.engines.base import Refusal, by_image, plan_batches, refuse
from tasks.inference.engines.batch_generation import embed_prompt, encode_images, generate_tokens
from tasks.inference.engines.batch_memory import Room, give_back, is_shortage, room_for
from tasks.inference.engines.decoding import Decoding, choose_tokens
from tasks.inference.engines.generation import Row, encode_prefix, generate_answers
from tasks.inference.engines.image_loader import ImageFeed
from tasks.inference.engines.prefix_attention import Prefix, share_prefixes
from tasks.inference.engines.prompts import encode_asked, stop_tokens, text_of
from tasks.model.images import pixels_of, read_image
from tasks.model.loading import LoadedModel
from tasks.records import Answer, Question

# tokens of a question beside its answer, for judging memory; longer ones are halved where they do not fit
QUESTION_TOKENS, PROMPT_TOKENS = 64, 64

Group = Sequence[Question]
Outcomes = list[Answer | Refusal]


class TransformersEngine:
    """Answers do not depend on the batch: in float32 they are those of one prompt at a time."""

    def __init__(
        self, loaded: LoadedModel, images: Path, decoding: Decoding, batch_size: int | None = None, workers: int = 2
    ):
        self._loaded, self._decoding = loaded, decoding
        share_prefixes(loaded.model)
        self._stops = stop_tokens(loaded)
        self._feed = ImageFeed(
            lambda name: pixels_of(read_image(image_file(images, name)), loaded.image_processor), workers
        )
        own_tokens = QUESTION_TOKENS + decoding.max_new_tokens
        self._room = room_for(loaded.model, loaded.image_tokens + PROMPT_TOKENS, own_tokens, batch_size)
        # of the image that the batch before was about, when it was too large for one batch
        self._kept: dict[str, Prefix] = {}

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self._loaded.model.dtype, self._loaded.device)

    @property
    def is_exact(self) -> bool:
        return bool(self._loaded.model.dtype == torch.float32)

    @property
    def batch_size(self) -> int:
        """The most questions that a batch holds now; it shrinks where memory is short."""
        return self._room.questions

    def answer(self, questions: Sequence[Question]) -> Iterator[Outcomes]:
        groups = by_image(questions)
        while groups:
            batches = list(plan_batches(groups, self._room.holds))
            groups = []
            for number, batch in enumerate(batches):
                self._expect_images(batch, batches[number + 1 : number + 2])
                outcomes = self._answer_batch(batch)
                if outcomes is None:
                    groups = [group for rest in batches[number:] for group in rest]
                    break
                yield outcomes

    def answer_alone(self, question: Question) -> Answer | Refusal:
        pixels = self._feed.take(question.image or "")
        try:
            if isinstance(pixels, DataError):
                raise pixels
            ids = encode_asked(self._loaded, question.turns, self._decoding.max_new_tokens)
        except DataError as error:
            return refuse(question, error)
        model, chooser = self._loaded.model, self._decoding.chooser(question.key)
        prompt = embed_prompt(model, ids, self._loaded.image_token_id, encode_images(model, [pixels])[0])
        tokens = generate_tokens(
            model, prompt, self._stops, self._decoding.max_new_tokens,
            lambda logits: choose_tokens(logits, [chooser], self._decoding)[0],
        )  # fmt: skip
        return self._read(question, list(takewhile(lambda token: token not in self._stops, tokens)))

    def _expect_images(self, batch: Sequence[Group], coming: Sequence[Sequence[Group]]) -> None:
        """Have the images of this batch and the next prepared, but for what is there already."""
        ours = dict.fromkeys(group[0].image or "" for group in batch)
        self._feed.expect(name for name in ours if name not in self._kept)
        self._feed.expect(group[0].image or "" for group in chain(*coming) if group[0].image not in ours)

    def _answer_batch(self, batch: Sequence[Group]) -> Outcomes | None:
        """The outcomes of a batch, or None when it did not fit: the next ones are half as large."""
        try:
            return self._compute(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_shortage(error):
                raise
        # outside the handler: the error's traceback holds the batch's tensors
        self._kept.clear()
        give_back(self._loaded.device)
        asked = sum(map(len, batch))
        if asked == 1:
            raise ModelError(
                "Not even one question at a time fits into memory: free some, lower inference.max_new_tokens, or use a "
                "smaller number type (inference.dtype)."
            )
        self._room = Room(asked // 2)
        return None

    def _compute(self, batch: Sequence[Group]) -> Outcomes:
        refusals: Outcomes = []
        pixels, asked = [], list[list[tuple[Question, list[int]]]]()
        for group in batch:
            name = group[0].image or ""
            image = None if name in self._kept else self._feed.take(name)
            encoded = self._encode_group(group, image, refusals)
            if encoded:
                asked.append(encoded)
                pixels.append(image)
        return refusals + (self._generate(asked, pixels) if asked else [])

    def _encode_group(self, group: Group, image: Any, refusals: Outcomes) -> list[tuple[Question, list[int]]]:
        """The questions of an image that can be asked, each with its prompt's tokens; the others become refusals."""
        encoded = []
        for question in group:
            try:
                if isinstance(image, DataError):
                    raise image
                ids = encode_asked(self._loaded, question.turns, self._decoding.max_new_tokens)
                encoded.append((question, ids))
            except DataError as error:
                refusals.append(refuse(question, error))
        return encoded

    def _generate(self, asked: Sequence[list[tuple[Question, list[int]]]], pixels: Sequence[Any]) -> Outcomes:
        first_ids = asked[0][0][1]
        # the template's words before an image are the same for all
        end = len(first_ids) - first_ids[::-1].index(self._loaded.image_token_id)
        name = asked[0][0][0].image or ""
        prefix = self._kept.get(name)
        if prefix is None:
            # before the next takes its memory
            self._kept.clear()
            prefix = self._encode_images(first_ids[:end], pixels)
            self._kept = {name: prefix} if len(asked) == 1 else {}
        questions = [question for group in asked for question, _ in group]
        rows = [
            Row(image, ids[end:], self._decoding.chooser(question.key))
            for image, group in enumerate(asked)
            for question, ids in group
        ]
        answers = generate_answers(self._loaded.model, prefix, rows, self._stops, self._decoding)
        return [self._read(question, ids) for question, ids in zip(questions, answers, strict=True)]

    def _encode_images(self, ids: Sequence[int], pixels: Sequence[Any]) -> Prefix:
        """Keys and values of the prompt up to and including each image."""
        model = self._loaded.model
        prompts = [
            embed_prompt(model, ids, self._loaded.image_token_id, features) for features in encode_images(model, pixels)
        ]
        return encode_prefix(model, torch.stack(prompts))

    def _read(self, question: Question, ids: Sequence[int]) -> Answer:
        return Answer(key=question.key, text=text_of(self._loaded.tokenizer, ids), tokens=len(ids))


def fingerprint_of(dtype: torch.dtype, device: torch.device) -> str:
    """What decides the answers beside weights and settings."""
    return f"transformers {str(dtype).removeprefix('torch.')} {device.type}"
