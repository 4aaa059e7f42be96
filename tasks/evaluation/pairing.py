"""Pair a test set with a model's answers; answers to anything else are refused, never scored."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from tasks.errors import DataError, shortened
from tasks.files import digest_of
from tasks.image_paths import image_key
from tasks.prompt_text import Task
from tasks.question_types import stated_types
from tasks.record_reader import (
    FIX,
    LONE_SURROGATE,
    Entry,
    Fault,
    Record,
    alternates,
    image_fault,
    iterate_entries,
    original_ids,
    require_record,
    role_fault,
)
from tasks.sources import UNNAMED, source_of
from tasks.turn_tasks import turn_tasks

UNPAIRED = "not questions with an answer each"
# Texts of at most this many characters are kept once, since many records have the same ones.
MOST_SHARED = 80
QUESTION_ID, IMAGE_ID = "question_id", "image_id"


@dataclass(frozen=True, slots=True)
class AskedTurn:
    """One question of the test set with its reference answer and, where it was asked, the model's.

    `type` is what the test set states; None if the words decide. `probability` is that of the model's answer; None
    if it is not known.
    """

    number: int
    task: Task
    question: str
    reference: str
    answer: str | None
    type: str | None = None
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class PairedRecord:
    """One record of the test set with the model's answers; `index` is its position in the file.

    `image` is the image's key: two spellings of one path are one image. `sha256` is that of the test set's record.
    """

    index: int
    id: str | int
    image: str
    source: str
    turns: tuple[AskedTurn, ...]
    sha256: str

    def asked_for(self, task: Task) -> list[AskedTurn]:
        """The turns of one task, in their order."""
        return [turn for turn in self.turns if turn.task == task]


@dataclass(frozen=True, slots=True)
class RecordText:
    """A record of a file: identity, (question, answer) pairs with their tasks, and the SHA-256 of the whole record.

    `types` and `question_ids` are those that the record states for its questions; empty where it states none.
    `original_ids` are ids that it had before it was given its own.
    """

    id: str | int
    image: str
    tasks: tuple[Task, ...]
    turns: tuple[tuple[str, str], ...]
    sha256: str
    types: tuple[str | None, ...] = ()
    question_ids: tuple[object, ...] = ()
    image_id: object = None
    original_ids: tuple[object, ...] = ()

    @property
    def name(self) -> str:
        return f"{shortened(self.id)} ({shortened(self.image)[1:-1]})"


def iterate_texts(path: Path, numbers: bool = False) -> Iterator[RecordText]:
    """Iterate over the records of a test set or of its answers without holding the whole file in memory.

    With `numbers`, turns that are numbers are taken as texts.
    Raises DataError naming the first record that is invalid or has a question without an answer.
    """
    sharing = TextSharing()
    record = None
    for entry in iterate_entries(path):
        if numbers:
            _write_numbers(entry.value)
        record = record_text(entry, sharing)
        yield record
    if record is None:
        raise DataError(f"{path} has no records: give a test set or the final.json of its answers.")


def _write_numbers(record: object) -> None:
    turns = record.get("conversations") if isinstance(record, dict) else None
    for turn in turns if isinstance(turns, list) else ():
        if isinstance(turn, dict) and type(turn.get("value")) in (int, float):
            turn["value"] = str(turn["value"])


def iterate_training_texts(path: Path) -> Iterator[RecordText]:
    """Iterate over the records of a training set as iterate_texts does, leaving out those of text alone."""
    sharing = TextSharing()
    empty = True
    for entry in iterate_entries(path):
        empty = False
        if not (isinstance(entry.value, dict) and not entry.value.get("image") and not entry.value.get("images")):
            yield record_text(entry, sharing)
    if empty:
        raise DataError(f"{path} has no records: give a training set.")


class TextSharing:
    """Keeps short texts and tasks once: most questions and answers occur many times in a file."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._tasks: dict[tuple[Task, ...], tuple[Task, ...]] = {}

    def text(self, text: str) -> str:
        """The first text equal to this one."""
        return self._texts.setdefault(text, text) if len(text) <= MOST_SHARED else text

    def tasks(self, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        """The first tasks equal to these."""
        return self._tasks.setdefault(tasks, tasks)


def record_text(entry: Entry, sharing: TextSharing) -> RecordText:
    """The texts of a record whose questions all have an answer; raises DataError for any other."""
    try:
        sha256 = digest_of(entry.value)
    except UnicodeEncodeError:
        raise DataError(f"{entry.location} holds {LONE_SURROGATE}; write it again.") from None
    record = require_record(entry, scoring_fault, FIX)
    texts = [sharing.text(turn["value"]) for turn in record["conversations"]]
    pairs = tuple(zip(texts[::2], texts[1::2], strict=True))
    return RecordText(
        record["id"],
        sharing.text(record["image"]),
        sharing.tasks(turn_tasks(record)),
        pairs,
        sha256,
        stated_types(record),
        _question_ids(record),
        record.get(IMAGE_ID),
        original_ids(record),
    )


def _question_ids(record: Record) -> tuple[object, ...]:
    """The question_id of each question; empty where none has one."""
    turns = record["conversations"][::2]
    return tuple(turn.get(QUESTION_ID) for turn in turns) if any(QUESTION_ID in turn for turn in turns) else ()


def scoring_fault(record: Record) -> Fault | None:
    """Why a valid record cannot be scored, or None."""
    if fault := image_fault(record):
        return fault
    if not alternates(record["conversations"]):
        return role_fault(record) or Fault(UNPAIRED, "has turns that do not alternate human and gpt")
    if len(record["conversations"]) % 2:
        return Fault(UNPAIRED, "has a last question without an answer")
    return None


def pair_records(
    test: Sequence[RecordText], answered: Iterable[RecordText], unnamed: str = UNNAMED
) -> list[PairedRecord]:
    """Pair each test record with its answers, in the test set's order.

    The answers must have exactly these records in this order, since ids may occur twice. All questions of a record must
    be answered, but only the first of its caption prompts. `unnamed` is the source of images without a folder.
    Raises DataError naming the record that is missing, duplicated, unknown or has other questions.
    """
    paired: list[PairedRecord] = []
    others = iter(answered)
    for record, answers in zip_longest(test, others):
        if record is None or answers is None or (record.id, record.image) != (answers.id, answers.image):
            rest = [answers, *others] if answers else []
            # those before are equal to the test set's
            raise DataError(_difference(test, [*test[: len(paired)], *rest]))
        turns = pair_turns(record, answers_in(record, answers))
        require_answered(record, turns)
        paired.append(paired_record(len(paired), record, turns, unnamed))
    return paired


def _difference(test: Sequence[RecordText], answered: Sequence[RecordText]) -> str:
    asked = Counter(record.name for record in test)
    given = Counter(record.name for record in answered)
    advice = "score answers with the complete test set that they answer, in its order."
    for record in answered:
        if record.name not in asked:
            return f"The answers contain the record {record.name}, which is not in the test set: {advice}"
        if given[record.name] > asked[record.name]:
            return (
                f"The answers contain the record {record.name} {given[record.name]} times, the test set "
                f"{asked[record.name]} times: {advice}"
            )
    for record in test:
        if given[record.name] < asked[record.name]:
            return f"The answers lack the record {record.name} of the test set: {advice}"
    first = next(a for a, b in zip(answered, test, strict=True) if a.name != b.name)
    return f"The answers' record {first.name} is not at its position in the test set: {advice}"


def answers_in(record: RecordText, answers: RecordText) -> list[str | None]:
    """The answer to each question of a record; None for one that was not asked."""
    given = list(answers.turns)
    # turns that were not asked are absent; the others keep the test set's order
    found = [given.pop(0)[1] if given and given[0][0] == question else None for question, _ in record.turns]
    if given:
        raise DataError(
            f"The answers' record {record.name} asks {given[0][0][:80]!r}, which the test set does not ask there: "
            "score answers with the test set that they answer."
        )
    return found


def pair_turns(record: RecordText, answers: Sequence[str | None]) -> list[AskedTurn]:
    """The questions of a record, each with its answer."""
    types = record.types or (None,) * len(answers)
    numbered = enumerate(zip(record.tasks, record.turns, answers, types, strict=True))
    return [AskedTurn(number, task, *turn, answer, kind) for number, (task, turn, answer, kind) in numbered]


def paired_record(index: int, record: RecordText, turns: Sequence[AskedTurn], unnamed: str) -> PairedRecord:
    """A record of the test set at this position in it, with its questions and their answers."""
    image = image_key(record.image)
    return PairedRecord(index, record.id, image, source_of(image, unnamed), tuple(turns), record.sha256)


def require_answered(record: RecordText, turns: Sequence[AskedTurn]) -> None:
    """Raise DataError unless all questions of a record and the first of its caption prompts are answered."""
    captions = [turn for turn in turns if turn.task == "captioning"]
    for turn in [*captions[:1], *(turn for turn in turns if turn.task != "captioning")]:
        if turn.answer is None:
            raise DataError(
                f"The answers' record {record.name} lacks an answer to question {turn.number + 1} "
                f"({turn.question[:80]!r}): answer the test set again."
            )
