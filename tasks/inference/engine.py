"""What answers questions: the Protocol that every engine keeps, and what engines share."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tasks.errors import DataError
from tasks.records import Answer, Question

Read = TypeVar("Read")


@dataclass(frozen=True)
class Refusal:
    """A question that cannot be asked, by its record's place in the test set and its turn, and why."""

    record: int
    turn: int
    reason: str


class Engine(Protocol):
    """Answers questions in batches, in an order of its own; each question comes back once, as one or the other.

    `fingerprint` tells what else than weights and settings decides the answers: library and number type.
    """

    @property
    def fingerprint(self) -> str: ...

    def answer(self, questions: Sequence[Question]) -> Iterator[list[Answer | Refusal]]: ...


def refuse(question: Question, reason: object) -> Refusal:
    """The refusal of a question."""
    return Refusal(question.record, question.turn, str(reason))


def batches_by_image(questions: Sequence[Question], size: int) -> Iterator[list[Question]]:
    """Cut questions into batches: those of one image side by side, among them similar lengths."""
    # by characters: tokens would have to be counted for the whole subset before the first answer
    ordered = sorted(questions, key=lambda q: (q.image or "", sum(len(text) for _, text in q.turns), q.key))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def read_images(questions: Sequence[Question], read: Callable[[str], Read]) -> dict[str, Read | DataError]:
    """Read each image of a batch once; an unreadable one stands for its error, so that the others go on."""
    images: dict[str, Read | DataError] = {}
    for name in dict.fromkeys(question.image or "" for question in questions):
        try:
            images[name] = read(name)
        except DataError as error:
            images[name] = error
    return images
