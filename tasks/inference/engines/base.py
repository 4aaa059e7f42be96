"""What answers questions: the Protocol that every engine keeps, and what engines share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tasks.records import Answer, Question


@dataclass(frozen=True)
class Refusal:
    """A question that cannot be asked, by its record's place in the test set and its turn, and why."""

    record: int
    turn: int
    reason: str


class Engine(Protocol):
    """Answers questions in batches, in an order of its own; each question comes back once, as one or the other.

    `fingerprint` tells what else than weights and settings decides the answers: library and number type.
    `is_exact` says that answers cannot depend on what is asked beside them; else they are compared on a sample with
    those of `answer_alone`, which asks without sharing anything.
    """

    @property
    def fingerprint(self) -> str: ...

    @property
    def is_exact(self) -> bool: ...

    def answer(self, questions: Sequence[Question]) -> Iterator[list[Answer | Refusal]]: ...

    def answer_alone(self, question: Question) -> Answer | Refusal: ...


def refuse(question: Question, reason: object) -> Refusal:
    """The refusal of a question."""
    return Refusal(question.record, question.turn, str(reason))


def by_image(questions: Sequence[Question]) -> list[list[Question]]:
    """Questions of each image side by side, similar lengths next to each other; most questions first.

    By characters: tokens would have to be counted for a whole subset before the first answer.
    """
    groups: dict[str, list[Question]] = {}
    for question in sorted(questions, key=lambda q: (_length(q), q.key)):
        groups.setdefault(question.image or "", []).append(question)
    # images of as many questions fill a batch evenly
    return sorted(groups.values(), key=lambda group: (-len(group), _length(group[-1]), group[0].image or ""))


def plan_batches(
    groups: Iterable[Sequence[Question]], holds: Callable[[int, int], bool]
) -> Iterator[list[list[Question]]]:
    """Batches of whole images, or even parts of one image that is too large for a batch; by image in each.

    `holds` says whether a number of images and of questions fits.
    """
    batch: list[list[Question]] = []
    for group in groups:
        if batch and not holds(len(batch) + 1, sum(map(len, batch)) + len(group)):
            yield batch
            batch = []
        if holds(1, len(group)):
            batch.append(list(group))
            continue
        parts = next(count for count in range(2, len(group) + 1) if holds(1, -(-len(group) // count)))
        size = -(-len(group) // parts)
        yield from ([list(group[start : start + size])] for start in range(0, len(group), size))
    if batch:
        yield batch


def _length(question: Question) -> int:
    return sum(len(text) for _, text in question.turns)
