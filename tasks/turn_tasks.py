"""What each question of a record asks for: a caption, or an answer.

What is said of it counts in this order: of the turn itself, in its own field `task` or `type` or by a tag before its
words; of the record, in its field `task` or `type`; of its source, in the registry. Where nothing is said, its words
tell.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from tasks.caption_prompts import asks_for_caption
from tasks.prompt_text import Task, tag_of, task_named
from tasks.sources import SOURCES, UNNAMED, source_of

FIELDS = ("task", "type")
GUESSED = "guessed"
KEYS = {"captioning", "vqa", GUESSED}

TasksBySource = dict[str, dict[str, int]]


def turn_tasks(record: Mapping[str, Any]) -> tuple[Task, ...]:
    """The task of each human turn of a record, in their order."""
    return tuple(known or _guessed(turn) for turn, known in _asking(record))


def count_tasks(record: Mapping[str, Any]) -> Counter[str]:
    """How many of a record's questions have which task, and under `guessed`, of how many only their words tell."""
    asking = _asking(record)
    tasks = [known or _guessed(turn) for turn, known in asking]
    guessed = sum(known is None for _, known in asking)
    return Counter(captioning=tasks.count("captioning"), vqa=tasks.count("vqa"), guessed=guessed)


def tasks_by_source(counted: Iterable[tuple[str, Mapping[str, int]]], unnamed: str = UNNAMED) -> TasksBySource:
    """From image paths with the counts of their records: the questions of each task, by source."""
    return _add((source_of(image, unnamed), numbers) for image, numbers in counted)


def count_by_source(records: Iterable[Mapping[str, Any]], unnamed: str = UNNAMED) -> TasksBySource:
    """The questions of each task of records, by source."""
    return tasks_by_source(((record["image"], count_tasks(record)) for record in records), unnamed)


def add_up(parts: Iterable[TasksBySource]) -> TasksBySource:
    """The numbers of several sets together."""
    return _add(pair for part in parts for pair in part.items())


def _add(pairs: Iterable[tuple[str, Mapping[str, int]]]) -> TasksBySource:
    sources: dict[str, Counter[str]] = {}
    for source, numbers in pairs:
        sources.setdefault(source, Counter()).update(numbers)
    return {source: dict(numbers) for source, numbers in sources.items()}


def are_counts(found: object) -> TypeGuard[TasksBySource]:
    """Whether what a manifest holds are the questions of each task by source."""
    return isinstance(found, dict) and all(
        isinstance(numbers, dict) and numbers.keys() == KEYS and all(type(number) is int for number in numbers.values())
        for numbers in found.values()
    )


def describe_tasks(tasks: TasksBySource) -> list[str]:
    """A line a source: how many captions and answers are asked for, and of how many only their words tell."""
    return [
        f"{source}: {numbers['captioning']} captions and {numbers['vqa']} answers asked for"
        + (f"; {guessed} of these are guesses from the words of the prompt" if (guessed := numbers[GUESSED]) else "")
        for source, numbers in tasks.items()
    ]


def _asking(record: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Task | None]]:
    """The human turns, each with its task where anything says it."""
    said = _said_of_all(record)
    return [(turn, _said_of_turn(turn) or said) for turn in record["conversations"] if turn["from"] == "human"]


def _said_of_all(record: Mapping[str, Any]) -> Task | None:
    if named := _named(record):
        return named
    source = SOURCES.get(source_of(record.get("image") or ""))
    return source.task if source else None


def _said_of_turn(turn: Mapping[str, Any]) -> Task | None:
    # asked for of a million turns, and nearly always of two keys and without a bracket
    if len(turn) > 2 and (named := _named(turn)):
        return named
    return task_named(tag_of(turn["value"])) if "[" in turn["value"] else None


def _named(thing: Mapping[str, Any]) -> Task | None:
    return next((task for field in FIELDS if (task := task_named(thing.get(field)))), None)


def _guessed(turn: Mapping[str, Any]) -> Task:
    return "captioning" if asks_for_caption(turn["value"]) else "vqa"
