"""Questions that the page suggests: of the model's own test set, or else by the sources that it was trained on."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from tasks.errors import DataError
from tasks.files import read_json_object
from tasks.paths import FINAL, FINAL_ANSWERS, ORIGIN, PREDICTIONS
from tasks.prompt_text import Task, without_placeholder
from tasks.question_types import question_type
from tasks.record_reader import Record, iterate_records, no_fault
from tasks.serving.model_names import run_of
from tasks.sources import SOURCES
from tasks.turn_tasks import answered_turns

MOST = 6
# a longer one does not fit a button
MOST_CHARACTERS = 80
# enough of a test set to see which questions it asks, in about a second
MOST_RECORDS = 20_000
CAPTION = ("What does this image show?",)
QUESTIONS = ("Is there a road?", "How many buildings are there?", "Is it a rural or an urban area?")


def suggest_questions(model: Path, adapter: Path | None) -> list[str]:
    """At most six questions; those that the model's run asked in its test set if they are there."""
    run = run_of(adapter or model)
    return (_asked_in(run) if run else []) or _by_sources(adapter or model)


def _asked_in(run: Path) -> list[str]:
    """The most frequent questions of each type in the test set, which answers repeat."""
    answers = sorted((run / PREDICTIONS).glob(f"*/{FINAL_ANSWERS}"), key=lambda file: file.parent.name != FINAL)
    for file in answers[:1]:
        try:
            records = (record for record, _ in iterate_records(file, no_fault))
            return frequent_questions(islice(records, MOST_RECORDS))
        except (DataError, OSError):
            # suggestions are no reason not to serve the model
            return []
    return []


def frequent_questions(records: Iterable[Record]) -> list[str]:
    """At most six questions of records: by turns the next most frequent one of each type, frequent types first."""
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        for task, question, answer in answered_turns(record):
            text = without_placeholder(question)
            if 0 < len(text) <= MOST_CHARACTERS and "\n" not in text:
                groups[question_type(question, answer) if task == "vqa" else task][text] += 1
    ranked = sorted(groups.values(), key=lambda group: -group.total())
    return list(islice(_by_turns([[text for text, _ in group.most_common(MOST)] for group in ranked]), MOST))


def _by_turns(ranked: list[list[str]]) -> Iterator[str]:
    for place in range(MOST):
        yield from (group[place] for group in ranked if place < len(group))


def _by_sources(checkpoint: Path) -> list[str]:
    """General questions, of the tasks of the sources that a checkpoint was trained on if it records them."""
    found: object = read_json_object(checkpoint / ORIGIN).get("settings")
    for key in ("data", "sources"):
        found = found.get(key) if isinstance(found, dict) else None
    names = found if isinstance(found, list) else []
    tasks: set[Task | None] = {SOURCES[name].task if name in SOURCES else None for name in names}
    captions = CAPTION if tasks != {"vqa"} else ()
    return [*captions, *(QUESTIONS if tasks != {"captioning"} else ())]
