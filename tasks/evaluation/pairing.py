"""Pair a test set with a model's answers; answers to anything else are refused, never scored."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import DataError, shortened
from tasks.files import digest_of
from tasks.image_paths import fault_of_image, image_key
from tasks.json_stream import iterate_values
from tasks.prompt_text import Task
from tasks.record_reader import REWRITE, is_of_another_tool, keys_of
from tasks.sources import UNNAMED, source_of
from tasks.turn_tasks import turn_tasks

# Texts of at most this many characters are kept once, since many records have the same ones.
MOST_SHARED = 80


@dataclass(frozen=True, slots=True)
class AskedTurn:
    """One question of the test set with its reference answer and, where it was asked, the model's."""

    number: int
    task: Task
    question: str
    reference: str
    answer: str | None


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
    """A record of a file: identity, (question, answer) pairs with their tasks, and the SHA-256 of the whole record."""

    id: str | int
    image: str
    tasks: tuple[Task, ...]
    turns: tuple[tuple[str, str], ...]
    sha256: str

    @property
    def name(self) -> str:
        return f"{shortened(self.id)} ({shortened(self.image)[1:-1]})"


def read_records(path: Path) -> Iterator[RecordText]:
    """Iterate over the records of a file in the LLaVA layout without holding the whole file in memory.

    Raises DataError naming the first that is not a record.
    """
    # most questions and answers occur many times in a file
    known: dict[Any, Any] = {}
    record = None
    for number, listed in enumerate(iterate_values(path), 1):
        record = read_record(listed.value, f"{path}, {listed.place(f'record {number}')}", known)
        yield record
    if record is None:
        raise DataError(f"{path} has no records: give a test set or the final.json of its answers.")


def read_record(row: Any, location: str, known: dict[Any, Any]) -> RecordText:
    """Validate one JSON value as a record; `known` has the short texts and tasks of earlier records, to be shared."""
    if not isinstance(row, dict):
        raise DataError(f"{location} is not an object with id, image and conversations.")
    try:
        sha256 = digest_of(row)
    except UnicodeEncodeError:
        raise DataError(f"{location} holds half a Unicode character (a lone surrogate): write it again.") from None
    if is_of_another_tool(row):
        raise DataError(f"{location} has no conversations{keys_of(row)}; {REWRITE}.")
    name, image, conversation = row.get("id"), row.get("image"), row.get("conversations")
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise DataError(f"{location}: its id is {shortened(name)}, but it must be a text or a whole number.")
    location = f"{location} (id {shortened(name)})"
    if not isinstance(image, str) or not image:
        raise DataError(f"{location}: its image is {shortened(image)}, but it must be the path of an image.")
    if fault := fault_of_image(image):
        raise DataError(f"{location} {fault}; fix or remove it.")
    if not isinstance(conversation, list) or not conversation or len(conversation) % 2:
        raise DataError(f"{location}: its conversations must be a list of questions, each with an answer.")
    values = [
        _read_value(entry, ("human", "gpt")[number % 2], f"{location}, entry {number + 1}")
        for number, entry in enumerate(conversation)
    ]
    texts = [known.setdefault(value, value) if len(value) <= MOST_SHARED else value for value in values]
    tasks = turn_tasks(row)
    pairs = tuple(zip(texts[::2], texts[1::2], strict=True))
    return RecordText(name, image, known.setdefault(tasks, tasks), pairs, sha256)


def _read_value(entry: Any, sender: str, location: str) -> str:
    if not isinstance(entry, dict) or entry.get("from") != sender or not isinstance(entry.get("value"), str):
        raise DataError(f'{location} is not {{"from": "{sender}", "value": text}}: human and gpt must alternate.')
    value: str = entry["value"]
    return value


def pair_records(
    test: Sequence[RecordText], answered: Sequence[RecordText], unnamed: str = UNNAMED
) -> list[PairedRecord]:
    """Pair each test record with its answers, in the test set's order.

    The answers must have exactly these records in this order, since ids may occur twice. All questions of a record must
    be answered, but only the first of its caption prompts. `unnamed` is the source of images without a folder.
    Raises DataError naming the record that is missing, duplicated, unknown or has other questions.
    """
    if [(record.id, record.image) for record in test] != [(record.id, record.image) for record in answered]:
        raise DataError(_difference(test, answered))
    both = enumerate(zip(test, answered, strict=True))
    return [_pair(index, record, answers, unnamed) for index, (record, answers) in both]


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
    return f"The answers' record {first.name} is at another position than in the test set: {advice}"


def _pair(index: int, record: RecordText, answers: RecordText, unnamed: str) -> PairedRecord:
    given = list(answers.turns)
    turns = []
    for number, (task, (question, reference)) in enumerate(zip(record.tasks, record.turns, strict=True)):
        # turns that were not asked are absent; the others keep the test set's order
        answer = given.pop(0)[1] if given and given[0][0] == question else None
        turns.append(AskedTurn(number, task, question, reference, answer))
    if given:
        raise DataError(
            f"The answers' record {record.name} asks {given[0][0][:80]!r}, which the test set does not ask there: "
            "score answers with the test set that they answer."
        )
    _require_answered(record, turns)
    image = image_key(record.image)
    return PairedRecord(index, record.id, image, source_of(image, unnamed), tuple(turns), record.sha256)


def _require_answered(record: RecordText, turns: Sequence[AskedTurn]) -> None:
    """Raise DataError unless all questions of a record and the first of its caption prompts are answered."""
    captions = [turn for turn in turns if turn.task == "captioning"]
    for turn in [*captions[:1], *(turn for turn in turns if turn.task == "vqa")]:
        if turn.answer is None:
            raise DataError(
                f"The answers' record {record.name} lacks an answer to question {turn.number + 1} "
                f"({turn.question[:80]!r}): answer the test set again."
            )
