"""What the engines that run a model in this process share: images read ahead, refusals, and batches that fit memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from tasks.choices import Transform
from tasks.errors import DataError, ModelError
from tasks.inference.engines.base import Outcome, group_by_image, plan_batches, refuse
from tasks.inference.engines.batch_memory import BatchLimit, batch_limit, is_out_of_memory, release_unused
from tasks.inference.engines.decoding import Decoding, answer_probability, decode_answer, stop_tokens
from tasks.inference.engines.generation import Generated
from tasks.inference.engines.image_loader import ImageLoader
from tasks.inference.engines.prompts import Prompt, encode_question
from tasks.inference.image_transforms import read_test_image
from tasks.model.inputs import ImageInputs
from tasks.model.loading import LoadedModel
from tasks.records import Answer, Question

# assumed tokens of a question and of the template before the image, to estimate memory; longer ones may halve a batch
QUESTION_TOKENS, TEMPLATE_TOKENS = 64, 64
# pixels; assumed side of an image where its number of tokens depends on its size
TYPICAL_SIDE = 512

Group: TypeAlias = Sequence[Question]


@dataclass(frozen=True)
class Asked:
    """A question with its image and prompt."""

    question: Question
    image: ImageInputs
    prompt: Prompt


class ModelEngine:
    """Plans batches as large as memory allows; a subclass computes the answers of one batch.

    `shares_images` says whether a batch holds the keys and values of an image once, or once for each question.
    """

    shares_images = True

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
        self.set_up()
        self._stops = stop_tokens(loaded)
        processor = loaded.processor
        self._images = ImageLoader(lambda name: processor.prepare(read_test_image(images, name, transform)), workers)
        question_tokens = QUESTION_TOKENS + decoding.max_new_tokens
        image_tokens = processor.count_tokens((TYPICAL_SIDE, TYPICAL_SIDE))
        before = image_tokens + TEMPLATE_TOKENS
        shared, own = (before, question_tokens) if self.shares_images else (0, before + question_tokens)
        self._limit = batch_limit(loaded.model, shared, own, batch_size)

    @property
    def batch_size(self) -> int:
        """The maximum number of questions per batch; it shrinks when memory runs out."""
        return self._limit.questions

    def set_up(self) -> None:
        """Change the loaded model, once, to what `generate` needs."""

    def generate(self, asked: Sequence[Asked]) -> list[Generated]:
        """The answers to a batch of questions, those about one image next to each other."""
        raise NotImplementedError

    def generate_alone(self, asked: Asked) -> Generated:
        """The answer to one question that shares nothing with others."""
        raise NotImplementedError

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
        asked = self._ask(question, self._images.take(question.image or ""))
        return self._decode(question, self.generate_alone(asked)) if isinstance(asked, Asked) else asked

    def _preload_images(self, batch: Sequence[Group], following: Sequence[Sequence[Group]]) -> None:
        """Start to read the images of this batch and the next one, except those that are kept."""
        current = dict.fromkeys(group[0].image or "" for group in batch)
        self._images.preload(name for name in current if self.kept_image(name) is None)
        self._images.preload(group[0].image or "" for group in chain(*following) if group[0].image not in current)

    def kept_image(self, name: str) -> ImageInputs | None:
        """An image that a former batch left over."""
        return None

    def forget(self) -> None:
        """Free what is kept from batch to batch."""

    def _answer_batch(self, batch: Sequence[Group]) -> list[Outcome] | None:
        """The outcomes of a batch; None if it did not fit, and then the batch limit is halved."""
        try:
            return self._compute(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # outside the handler: the error's traceback keeps the batch's tensors alive
        self.forget()
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
        outcomes: list[Outcome] = []
        asked: list[Asked] = []
        for group in batch:
            name = group[0].image or ""
            image = self.kept_image(name) or self._images.take(name)
            for question in group:
                found = self._ask(question, image)
                if isinstance(found, Asked):
                    asked.append(found)
                else:
                    outcomes.append(found)
        answers = self.generate(asked) if asked else []
        return outcomes + [self._decode(one.question, answer) for one, answer in zip(asked, answers, strict=True)]

    def _ask(self, question: Question, image: ImageInputs | DataError) -> Asked | Outcome:
        """A question with its prompt, or its refusal."""
        try:
            if isinstance(image, DataError):
                raise image
            prompt = encode_question(self._loaded, question.turns, image, self._decoding.max_new_tokens)
        except DataError as error:
            return refuse(question, error)
        return Asked(question, image, prompt)

    def _decode(self, question: Question, generated: Generated) -> Answer:
        text = decode_answer(self._loaded.processor.tokenizer, generated.ids)
        known = answer_probability(generated.log_probabilities)
        return Answer(key=question.key, text=text, tokens=len(generated.ids), **known)
