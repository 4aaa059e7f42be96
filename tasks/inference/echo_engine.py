"""A model that needs no weights: it answers with the question and a digest of all that it was shown."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.errors import DataError
from tasks.files import digest_of
from tasks.inference.engine import Refusal, batches_by_image, read_images, refuse
from tasks.model.images import read_image
from tasks.model.prompt import IMAGE_PLACEHOLDER
from tasks.records import Answer, Question


class EchoEngine:
    """Same question, same answer; another image name or an earlier turn gives another answer."""

    fingerprint = "echo"

    def __init__(self, images: Path, batch_size: int):
        self._images, self._batch_size = images, batch_size

    def answer(self, questions: Sequence[Question]) -> Iterator[list[Answer | Refusal]]:
        for batch in batches_by_image(questions, self._batch_size):
            images = read_images(batch, lambda name: read_image(self._images / name).size)
            yield [self._answer(question, images[question.image or ""]) for question in batch]

    def _answer(self, question: Question, image: object) -> Answer | Refusal:
        if isinstance(image, DataError):
            return refuse(question, image)
        prompt = question.turns[-1][1].replace(IMAGE_PLACEHOLDER, "").strip()
        text = f"{digest_of([question.image, image, question.turns])[:8]} {prompt}"
        return Answer(key=question.key, text=text, tokens=len(text.split()))
