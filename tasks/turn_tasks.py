"""The task of each question of a record: captioning, visual question answering, or grounding, which asks for boxes.

A question whose reference answer has a box is grounding, and so is a caption prompt answered by boxes alone. Else the
first statement of this list decides: the turn's own field `task` or `type`, or a tag before its words; the record's
field `task` or `type`; the record's source, by the registry; the words of the prompt, which is a guess.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Literal, NamedTuple, TypeGuard

from tasks.boxes import is_only_boxes, read_boxes
from tasks.prompt_text import Task, asks_for_caption, tag_of, task_from_name
from tasks.record_reader import Record, Turn, first_image
from tasks.sources import SOURCES, UNNAMED, source_of

FIELDS = ("task", "type")
GUESSED = "guessed"
GROUNDING: Literal["grounding"] = "grounding"
# counts of earlier versions have no grounding, and it is left out where there is none
KEYS = {"captioning", "vqa", GUESSED}

TasksBySource = dict[str, dict[str, int]]


class AnsweredTurn(NamedTuple):
    """A question of a record with its task and its reference answer."""

    task: Task
    question: str
    answer: str


def turn_tasks(record: Record) -> tuple[Task, ...]:
    """The task of each human turn of a record, in order."""
    return tuple(task for task, _ in _turns(record))


def answered_turns(record: Record) -> Iterator[AnsweredTurn]:
    """The questions of a record that have an answer; its turns must alternate human, gpt."""
    texts = [turn["value"] for turn in record["conversations"]]
    return map(AnsweredTurn, turn_tasks(record), texts[::2], texts[1::2])


def count_tasks(record: Record) -> Counter[str]:
    """Count a record's questions by task and, under `guessed`, those whose task only their words tell."""
    turns = _turns(record)
    tasks = [task for task, _ in turns]
    counts = Counter(captioning=tasks.count("captioning"), vqa=tasks.count("vqa"), guessed=sum(g for _, g in turns))
    if boxes := tasks.count(GROUNDING):
        counts[GROUNDING] = boxes
    return counts


def tasks_by_source(counted: Iterable[tuple[str, Mapping[str, int]]], unnamed: str = UNNAMED) -> TasksBySource:
    """Sum the task counts of records by source; `counted` pairs each record's image path with its counts."""
    return _sum((source_of(image, unnamed), numbers) for image, numbers in counted)


def count_by_source(records: Iterable[Record], unnamed: str = UNNAMED) -> TasksBySource:
    """Count the questions of records by source and task."""
    return tasks_by_source(((first_image(record), count_tasks(record)) for record in records), unnamed)


def sum_counts(parts: Iterable[TasksBySource]) -> TasksBySource:
    """Sum the counts of several sets."""
    return _sum(pair for part in parts for pair in part.items())


def _sum(pairs: Iterable[tuple[str, Mapping[str, int]]]) -> TasksBySource:
    sources: dict[str, Counter[str]] = {}
    for source, numbers in pairs:
        sources.setdefault(source, Counter()).update(numbers)
    return {source: dict(numbers) for source, numbers in sources.items()}


def is_task_counts(found: object) -> TypeGuard[TasksBySource]:
    """Whether a value from a manifest has the form of task counts by source."""
    return isinstance(found, dict) and all(
        isinstance(numbers, dict)
        and numbers.keys() - {GROUNDING} == KEYS
        and all(type(number) is int for number in numbers.values())
        for numbers in found.values()
    )


def describe_tasks(tasks: TasksBySource) -> list[str]:
    """One line per source: its prompts for captions, its questions, and how many of both are guessed."""
    return [
        f"{source}: {_describe_numbers(numbers)}"
        + (f"; {guessed} of these guessed from the words of the prompt" if (guessed := numbers[GUESSED]) else "")
        for source, numbers in tasks.items()
    ]


def _describe_numbers(numbers: Mapping[str, int]) -> str:
    named = (
        (numbers["captioning"], "caption prompt", ""),
        (numbers["vqa"], "question", ""),
        (numbers.get(GROUNDING, 0), "question", " for boxes"),
    )
    return ", ".join(amount(number, noun) + of for number, noun, of in named if number) or "no questions"


def amount(number: int, noun: str) -> str:
    """A number of things in words: 1 caption, 2 captions."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _turns(record: Record) -> list[tuple[Task, bool]]:
    """The task of each human turn, and whether it is a guess from its words."""
    of_record, turns = _record_task(record), record["conversations"]
    found: list[tuple[Task, bool]] = []
    for turn, following in zip_longest(turns, turns[1:]):
        if turn["from"] == "human":
            stated = _turn_task(turn) or of_record
            task = stated or _guess(turn)
            answer = following["value"] if following and following["from"] == "gpt" else ""
            is_boxes = task != GROUNDING and _asks_for_boxes(task, answer)
            found.append(("grounding" if is_boxes else task, stated is None and not is_boxes))
    return found


def _asks_for_boxes(task: Task, answer: str) -> bool:
    return is_only_boxes(answer) or (task == "vqa" and read_boxes(answer) is not None)


def _record_task(record: Record) -> Task | None:
    if stated := _field_task(record):
        return stated
    source = SOURCES.get(source_of(first_image(record)))
    return source.task if source else None


def _turn_task(turn: Turn) -> Task | None:
    # called for a million turns, and nearly all have two keys and no bracket
    if len(turn) > 2 and (stated := _field_task(turn)):
        return stated
    return task_from_name(tag_of(turn["value"])) if "[" in turn["value"] else None


def _field_task(fields: Mapping[str, object]) -> Task | None:
    return next((task for field in FIELDS if (task := task_from_name(fields.get(field)))), None)


def _guess(turn: Turn) -> Task:
    return "captioning" if asks_for_caption(turn["value"]) else "vqa"
