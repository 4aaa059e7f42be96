"""A model that needs no weights: it answers with the question and a digest of all that it was shown."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.errors import DataError
from tasks.files import digest_of
from tasks.image_paths import image_file
from tasks.inference.engines.base import Refusal, by_image, plan_batches, refuse
from tasks.model.images import read_image
from tasks.model.llava.prompt import IMAGE_PLACEHOLDER
from tasks.records import Answer, Question


class EchoEngine:
    """Same question, same answer; another image name or an earlier turn gives another answer."""

    fingerprint = "echo"
    is_exact = True

    def __init__(self, images: Path, batch_size: int):
        self._images, self._batch_size = images, batch_size

    def answer(self, questions: Sequence[Question]) -> Iterator[list[Answer | Refusal]]:
        for batch in plan_batches(by_image(questions), lambda _images, count: count <= self._batch_size):
            yield [outcome for group in batch for outcome in self._answer_group(group)]

    def answer_alone(self, question: Question) -> Answer | Refusal:
        return self._answer_group([question])[0]

    def _answer_group(self, group: Sequence[Question]) -> list[Answer | Refusal]:
        try:
            size = read_image(image_file(self._images, group[0].image or "")).size
        except DataError as error:
            return [refuse(question, error) for question in group]
        return [self._answer(question, size) for question in group]

    def _answer(self, question: Question, image: object) -> Answer:
        prompt = question.turns[-1][1].replace(IMAGE_PLACEHOLDER, "").strip()
        text = f"{digest_of([question.image, image, question.turns])[:8]} {prompt}"
        return Answer(key=question.key, text=text, tokens=len(text.split()))
