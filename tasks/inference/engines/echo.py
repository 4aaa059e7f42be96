"""The engine without a model: it answers with the question and a digest of everything the model would have seen."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.choices import Transform
from tasks.errors import DataError
from tasks.files import digest_of
from tasks.inference.engines.base import Outcome, PreparedEngine, group_by_image, plan_batches, refuse
from tasks.inference.image_transforms import read_test_image
from tasks.inference.request import PredictRequest
from tasks.prompt_text import without_placeholder
from tasks.records import Answer, Question

BATCH_SIZE = 64


def prepare(request: PredictRequest) -> PreparedEngine:
    """Prepare the engine of a request; nothing is loaded."""
    batch_size = request.config.batch_size or BATCH_SIZE
    return PreparedEngine("echo", lambda: EchoEngine(request.images, batch_size, request.config.transform))


class EchoEngine:
    """Gives the same answer to the same question; another image, a transform or an earlier turn changes it."""

    def __init__(self, images: Path, batch_size: int, transform: Transform | None = None):
        self._images, self._batch_size, self._transform = images, batch_size, transform

    def answer(self, questions: Sequence[Question]) -> Iterator[list[Outcome]]:
        for batch in plan_batches(group_by_image(questions), lambda _images, count: count <= self._batch_size):
            yield [outcome for group in batch for outcome in self._answer_group(group)]

    def answer_alone(self, question: Question) -> Outcome:
        return self._answer_group([question])[0]

    def _answer_group(self, group: Sequence[Question]) -> list[Outcome]:
        try:
            size = read_test_image(self._images, group[0].image or "", self._transform).size
        except DataError as error:
            return [refuse(question, error) for question in group]
        return [self._answer(question, size) for question in group]

    def _answer(self, question: Question, image_size: tuple[int, int]) -> Answer:
        prompt = without_placeholder(question.turns[-1][1])
        seen = [question.image, image_size, question.turns, *([self._transform] if self._transform else [])]
        text = f"{digest_of(seen)[:8]} {prompt}"
        return Answer(key=question.key, text=text, tokens=len(text.split()))
