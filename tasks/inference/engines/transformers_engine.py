"""The engine that runs a LLaVA model in this process.

Each image is decoded and encoded once, and so is the prompt up to and including it: all its questions share the keys
and values. Batches are as large as memory allows.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, takewhile
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from tasks.choices import Transform
from tasks.errors import DataError, ModelError
from tasks.inference.engines.base import Outcome, PreparedEngine, group_by_image, plan_batches, refuse
from tasks.inference.engines.batch_memory import BatchLimit, batch_limit, is_out_of_memory, release_unused
from tasks.inference.engines.decoding import (
    Decoding,
    answer_probability,
    decode_answer,
    log_probabilities,
    next_tokens,
    stop_tokens,
)
from tasks.inference.engines.generation import Generated, Row, encode_prefix, generate_answers, generate_tokens
from tasks.inference.engines.prefix_attention import Prefix, enable_prefixes
from tasks.inference.engines.prompts import embed_prompt, encode_images, encode_question
from tasks.inference.image_transforms import read_test_image
from tasks.inference.request import PredictRequest
from tasks.model.images import pixels_of
from tasks.model.loading import LoadedModel, choose_device, choose_dtype, load_model
from tasks.records import Answer, Question

# assumed tokens of a question and of the template before the image, to estimate memory; longer ones may halve a batch
QUESTION_TOKENS, TEMPLATE_TOKENS = 64, 64

Group: TypeAlias = Sequence[Question]
# float32, (channels, height, width)
Pixels: TypeAlias = np.ndarray
# a question and the token ids of its prompt
Encoded: TypeAlias = tuple[Question, list[int]]


def prepare(request: PredictRequest) -> PreparedEngine:
    """Prepare the engine of a request; the model is loaded with the first question."""
    config = request.config
    device = choose_device()
    dtype = str(choose_dtype(config.dtype, device)).removeprefix("torch.")
    decoding = Decoding(config.max_new_tokens, config.temperature, config.top_p, config.seed)

    def load() -> TransformersEngine:
        loaded = load_model(request.model, request.adapter, config.dtype, request.projector)
        options = config.batch_size, config.image_workers, config.transform
        return TransformersEngine(loaded, request.images, decoding, *options)

    return PreparedEngine(f"transformers {dtype} {device.type}", load, dtype)


class TransformersEngine:
    """Answers as if each prompt were asked alone: exactly so in float32, whatever the batch."""

    def __init__(
        self,
        loaded: LoadedModel,
        images: Path,
        decoding: Decoding,
        batch_size: int | None = None,
        workers: int = 2,
        transform: Transform | None = None,
    ):
        self._loaded, self._decoding = loaded, decoding
        enable_prefixes(loaded.model)
        self._stops = stop_tokens(loaded)
        self._images = ImageLoader(
            lambda name: pixels_of(read_test_image(images, name, transform), loaded.image_processor), workers
        )
        question_tokens = QUESTION_TOKENS + decoding.max_new_tokens
        self._limit = batch_limit(loaded.model, loaded.image_tokens + TEMPLATE_TOKENS, question_tokens, batch_size)
        # the prefix of the last batch's image, if its questions did not fit into one batch
        self._prefixes: dict[str, Prefix] = {}

    @property
    def batch_size(self) -> int:
        """The maximum number of questions per batch; it shrinks when memory runs out."""
        return self._limit.questions

    def answer(self, questions: Sequence[Question]) -> Iterator[list[Outcome]]:
        groups = group_by_image(questions)
        while groups:
            batches = list(plan_batches(groups, self._limit.fits))
            groups = []
            for number, batch in enumerate(batches):
                self._preload_images(batch, batches[number + 1 : number + 2])
                outcomes = self._answer_batch(batch)
                if outcomes is None:
                    groups = [group for rest in batches[number:] for group in rest]
                    break
                yield outcomes

    def answer_alone(self, question: Question) -> Outcome:
        pixels = self._images.take(question.image or "")
        try:
            if isinstance(pixels, DataError):
                raise pixels
            ids = encode_question(self._loaded, question.turns, self._decoding.max_new_tokens)
        except DataError as error:
            return refuse(question, error)
        model, sampler = self._loaded.model, self._decoding.sampler(question.key)
        known: list[float] = []

        def next_token(logits: torch.Tensor) -> int:
            tokens = next_tokens(logits, [sampler], self._decoding)
            known.extend(log_probabilities(logits, tokens, self._decoding))
            return tokens[0]

        prompt = embed_prompt(model, ids, self._loaded.image_token_id, encode_images(model, [pixels])[0])
        tokens = generate_tokens(model, prompt, self._stops, self._decoding.max_new_tokens, next_token)
        kept = list(takewhile(lambda token: token not in self._stops, tokens))
        return self._decode(question, Generated(kept, known))

    def _preload_images(self, batch: Sequence[Group], following: Sequence[Sequence[Group]]) -> None:
        """Start to read the images of this batch and the next one, except those whose prefix is known."""
        current = dict.fromkeys(group[0].image or "" for group in batch)
        self._images.preload(name for name in current if name not in self._prefixes)
        self._images.preload(group[0].image or "" for group in chain(*following) if group[0].image not in current)

    def _answer_batch(self, batch: Sequence[Group]) -> list[Outcome] | None:
        """The outcomes of a batch; None if it did not fit, and then the batch limit is halved."""
        try:
            return self._compute(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # outside the handler: the error's traceback keeps the batch's tensors alive
        self._prefixes.clear()
        release_unused(self._loaded.device)
        asked = sum(map(len, batch))
        if asked == 1:
            raise ModelError(
                "Not even one question at a time fits into memory: free some, lower inference.max_new_tokens, or use a "
                "smaller number type (inference.dtype)."
            )
        self._limit = BatchLimit(asked // 2)
        return None

    def _compute(self, batch: Sequence[Group]) -> list[Outcome]:
        refusals: list[Outcome] = []
        pixels, asked = list[Pixels | None](), list[list[Encoded]]()
        for group in batch:
            name = group[0].image or ""
            # a prefix is reused for a batch about its image alone
            image = None if len(batch) == 1 and name in self._prefixes else self._images.take(name)
            encoded = self._encode_group(group, image, refusals)
            if encoded:
                asked.append(encoded)
                pixels.append(None if isinstance(image, DataError) else image)
        return refusals + (self._generate(asked, pixels) if asked else [])

    def _encode_group(self, group: Group, image: Pixels | DataError | None, refusals: list[Outcome]) -> list[Encoded]:
        """The questions of an image that can be asked, with their token ids; the others are added to `refusals`."""
        encoded = []
        for question in group:
            try:
                if isinstance(image, DataError):
                    raise image
                ids = encode_question(self._loaded, question.turns, self._decoding.max_new_tokens)
                encoded.append((question, ids))
            except DataError as error:
                refusals.append(refuse(question, error))
        return encoded

    def _generate(self, asked: Sequence[list[Encoded]], pixels: Sequence[Pixels | None]) -> list[Outcome]:
        first_ids = asked[0][0][1]
        # the template before the image is the same in all prompts
        end = len(first_ids) - first_ids[::-1].index(self._loaded.image_token_id)
        name = asked[0][0][0].image or ""
        prefix = self._prefixes.get(name) if len(asked) == 1 else None
        if prefix is None:
            # free the last one before the next takes its memory
            self._prefixes.clear()
            prefix = self._encode_prefixes(first_ids[:end], [image for image in pixels if image is not None])
            self._prefixes = {name: prefix} if len(asked) == 1 else {}
        questions = [question for group in asked for question, _ in group]
        rows = [
            Row(image, ids[end:], self._decoding.sampler(question.key))
            for image, group in enumerate(asked)
            for question, ids in group
        ]
        answers = generate_answers(self._loaded.model, prefix, rows, self._stops, self._decoding)
        return [self._decode(question, answer) for question, answer in zip(questions, answers, strict=True)]

    def _encode_prefixes(self, ids: Sequence[int], pixels: Sequence[Pixels]) -> Prefix:
        """Keys and values of the prompt `ids`, up to and including the image, with each of the images."""
        model = self._loaded.model
        prompts = [
            embed_prompt(model, ids, self._loaded.image_token_id, features) for features in encode_images(model, pixels)
        ]
        prefixes: Prefix = encode_prefix(model, torch.stack(prompts))
        return prefixes

    def _decode(self, question: Question, generated: Generated) -> Answer:
        text = decode_answer(self._loaded.tokenizer, generated.ids)
        known = answer_probability(generated.log_probabilities)
        return Answer(key=question.key, text=text, tokens=len(generated.ids), **known)


class ImageLoader:
    """Reads images in threads while the model computes; decoding and scaling release Python's global lock."""

    def __init__(self, read: Callable[[str], Pixels], workers: int):
        self._read, self._pool = read, ThreadPoolExecutor(workers, thread_name_prefix="images")
        self._pending: dict[str, Future[Pixels]] = {}

    def preload(self, names: Iterable[str]) -> None:
        """Start to read images that will be taken soon."""
        for name in names:
            if name not in self._pending:
                self._pending[name] = self._pool.submit(self._read, name)

    def take(self, name: str) -> Pixels | DataError:
        """Return an image, or the error of an unreadable one, so that the other images can go on."""
        self.preload([name])
        try:
            return self._pending.pop(name).result()
        except DataError as error:
            return error
