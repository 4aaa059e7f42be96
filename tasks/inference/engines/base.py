"""The Engine protocol, and what all engines use: refusals, and batches of questions grouped by image."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tasks.errors import DataError
from tasks.records import Answer, Question

# refusals listed in one error message
MAX_LISTED = 50


@dataclass(frozen=True)
class Refusal:
    """A question that cannot be asked: the index of its record in the test set, its turn, and the reason."""

    record: int
    turn: int
    reason: str


Outcome = Answer | Refusal


class Engine(Protocol):
    """A loaded model that answers questions."""

    def answer(self, questions: Sequence[Question]) -> Iterator[list[Outcome]]:
        """Yield outcomes batch by batch, in any order; each question gets exactly one."""
        ...

    def answer_alone(self, question: Question) -> Outcome:
        """Answer one question that shares neither a batch nor cached keys and values with others."""
        ...


@dataclass(frozen=True)
class PreparedEngine:
    """An engine whose requirements are met and whose model is not loaded yet.

    `fingerprint` names what decides the answers besides weights and settings: library, number type, device.
    `dtype` is the number type that it computes in. `exact` overrides what the registry says of the engine's answers.
    `asks_again` says whether a sample of answers that may depend on their batch is asked again.
    `note` is said to the user before the first answer.
    """

    fingerprint: str
    load: Callable[[], Engine]
    dtype: str = "float32"
    exact: bool | None = None
    asks_again: bool = True
    note: str = ""


def refuse(question: Question, reason: object) -> Refusal:
    """Refuse a question for a reason, such as the error that it raised."""
    return Refusal(question.record, question.turn, str(reason))


def refusals_error(records: Sequence[Mapping[str, object]], refusals: Sequence[Refusal], answered: int) -> DataError:
    """The error that ends a run with refusals: it lists them by record; all other questions are answered by then."""
    ordered = sorted(refusals, key=lambda refusal: (refusal.record, refusal.turn))
    reasons = Counter((refusal.record, refusal.reason) for refusal in ordered)
    lines = [
        f"  record {_name_of(index, records[index])}: {reason}" + (f" ({count}x)" if count > 1 else "")
        for (index, reason), count in reasons.items()
    ]
    more = [f"  and {len(lines) - MAX_LISTED} more"] if len(lines) > MAX_LISTED else []
    head = (
        f"{len(refusals)} questions of {len({refusal.record for refusal in refusals})} records could not be asked. "
        f"The {answered} others are answered and kept; fix these and run the same command again:"
    )
    return DataError("\n".join([head, *lines[:MAX_LISTED], *more]))


def _name_of(index: int, record: Mapping[str, object]) -> object:
    name = record.get("id")
    return f"number {index + 1}" if name in (None, "") else name


def group_by_image(questions: Sequence[Question]) -> list[list[Question]]:
    """Group questions by image, those of similar length next to each other; images with most questions first.

    Length is counted in characters: counting tokens would delay the first answer by a whole subset.
    """
    groups: dict[str, list[Question]] = {}
    for question in sorted(questions, key=lambda q: (_length(q), q.key)):
        groups.setdefault(question.image or "", []).append(question)
    # images with equally many questions fill a batch evenly
    return sorted(groups.values(), key=lambda group: (-len(group), _length(group[-1]), group[0].image or ""))


def plan_batches(
    groups: Iterable[Sequence[Question]], fits: Callable[[int, int], bool]
) -> Iterator[list[list[Question]]]:
    """Pack groups into batches; a group too large for one batch is split into even parts, one batch each.

    `fits(images, questions)` says whether a batch of that size is possible.
    """
    batch: list[list[Question]] = []
    for group in groups:
        if batch and not fits(len(batch) + 1, sum(map(len, batch)) + len(group)):
            yield batch
            batch = []
        if fits(1, len(group)):
            batch.append(list(group))
            continue
        parts = next(count for count in range(2, len(group) + 1) if fits(1, -(-len(group) // count)))
        size = -(-len(group) // parts)
        yield from ([list(group[start : start + size])] for start in range(0, len(group), size))
    if batch:
        yield batch


def _length(question: Question) -> int:
    return sum(len(text) for _, text in question.turns)
