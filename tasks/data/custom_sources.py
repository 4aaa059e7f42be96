"""Write what data.custom_sources states onto the records themselves, so that whatever reads the sets finds it there.

A record gets `task`, its questions get `question_type`, and a list of captions becomes a record per caption.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from tasks.data.image_folders import prefixes_of, relative_image
from tasks.errors import DataError, shortened
from tasks.image_paths import is_absolute
from tasks.prompt_text import bare_prompt, task_from_name
from tasks.question_types import FIELD as QUESTION_TYPE
from tasks.record_reader import Record, Turn
from tasks.settings import CustomSource, DataConfig
from tasks.sources import source_of
from tasks.turn_tasks import FIELDS, turn_tasks

TYPE_FIELD = "question_type_field"
# the text of a caption in the layouts of Karpathy and COCO
CAPTION_KEYS = ("raw", "caption", "sentence", "text")
OTHER_TASK = "task that is not known, replaced by that of its source"
FROM_REFERENCES = "record of a further reference caption"
UNUSED = "record of {}, of which none has the field {} that data.custom_sources names as its {}"
EMPTY_CAPTION = "empty reference caption left out"


class SourceFacts:
    """What the settings state of sources and their images."""

    def __init__(self, config: DataConfig):
        self._sources = {source.name: source for source in config.custom_sources}
        self._patterns = {source.name: source.patterns for source in config.custom_sources}
        self._prefixes, self._unnamed = prefixes_of(config.image_root), config.unnamed_source
        self._counts: Counter[str] = Counter()
        self._records: Counter[str] = Counter()
        # settings of a source whose field a record has
        self._used: set[tuple[str, str]] = set()
        # sources whose folder absolute paths begin with
        self._with_paths: set[str] = set()

    @property
    def noticed(self) -> dict[str, int]:
        """The numbers of records and captions that were added, left out or changed, and those without a named field."""
        unused = {
            UNUSED.format(name, field, setting): self._records[name]
            for name, source in self._sources.items()
            for setting, field in _fields_of(source).items()
            if self._records[name] and (name, setting) not in self._used
        }
        return {**+self._counts, **unused}

    def must_exist(self, source: str, folder: Path) -> bool:
        """Whether a source's image folder is wrong unless it is a folder here: no absolute path begins with it."""
        return folder.exists() or source not in self._with_paths

    def applied(self, record: Record) -> list[Record]:
        """The record as the settings have it, several for a list of captions; one that they do not change is the same.

        Raises DataError for a field of captions that does not hold texts.
        """
        image = record.get("image")
        if not isinstance(image, str) or not image or not (self._sources or self._prefixes):
            return [record]
        if (relative := relative_image(image, self._prefixes, self._unnamed)) != image:
            record = cast(Record, {**record, "image": relative})
            if is_absolute(image):
                self._with_paths.add(source_of(relative, self._unnamed))
        source = self._sources.get(source_of(relative, self._unnamed))
        if source is None:
            return [record]
        self._note_fields(record, source)
        return [self._typed(self._with_task(each, source), source) for each in self._by_caption(record, source)]

    def _note_fields(self, record: Record, source: CustomSource) -> None:
        self._records[source.name] += 1
        for setting, field in _fields_of(source).items():
            of_turns = setting == TYPE_FIELD and any(field in turn for turn in record["conversations"])
            if field in record or of_turns:
                self._used.add((source.name, setting))

    def _by_caption(self, record: Record, source: CustomSource) -> list[Record]:
        if not source.references or source.references not in record:
            return [record]
        question = next((turn for turn in record["conversations"] if turn["from"] == "human"), None)
        texts = [text.strip() for text in _captions(record, source.references)]
        self._counts[EMPTY_CAPTION] += texts.count("")
        captions = [text for text in texts if text]
        rest = cast(Record, {key: value for key, value in record.items() if key != source.references})
        if question is None or not captions:
            return [rest]
        if own := _answer_to(question, record):
            if own.strip() in captions:
                captions.remove(own.strip())
            captions.insert(0, own)
        self._counts[FROM_REFERENCES] += len(captions) - 1
        further = (
            {**rest, "id": f"{record['id']}-{number}", "conversations": [question, _answer(caption)]}
            for number, caption in enumerate(captions[1:], 2)
        )
        return [_answered_with(rest, captions[0]), *(cast(Record, each) for each in further)]

    def _with_task(self, record: Record, source: CustomSource) -> Record:
        stated = task_from_name(record.get(source.task_field)) if source.task_field else None
        if stated is None and any(task_from_name(record.get(field)) for field in FIELDS):
            return record
        task = stated or source.task
        if task is None or record.get("task") == task:
            return record
        # a name that nothing understands would leave the task to the words of the prompt
        self._counts[OTHER_TASK] += "task" in record
        return cast(Record, {**record, "task": task})

    def _typed(self, record: Record, source: CustomSource) -> Record:
        field = source.question_type_field
        if field and (kind := _text_of(record.get(field))):
            record = cast(Record, {**record, QUESTION_TYPE: kind})
        by_pattern = self._patterns[source.name] if QUESTION_TYPE not in record else []
        if not field and not by_pattern:
            return record
        turns: list[Any] = []
        tasks = iter(turn_tasks(record))
        for turn in record["conversations"]:
            kind = None
            if turn["from"] == "human":
                is_question = next(tasks) != "captioning"
                kind = _text_of(turn.get(field)) if field else None
                kind = kind or (_type_by(by_pattern, turn) if is_question and QUESTION_TYPE not in turn else None)
            turns.append({**turn, QUESTION_TYPE: kind} if kind else turn)
        return cast(Record, {**record, "conversations": turns})


def _fields_of(source: CustomSource) -> dict[str, str]:
    """The fields of records that a source names, by setting."""
    named = {"task_field": source.task_field, TYPE_FIELD: source.question_type_field, "references": source.references}
    return {setting: field for setting, field in named.items() if field}


def _captions(record: Record, field: str) -> Iterator[str]:
    found = cast(Mapping[str, object], record)[field]
    for entry in found if isinstance(found, list) else [found]:
        text = next((entry[key] for key in CAPTION_KEYS if key in entry), None) if isinstance(entry, dict) else entry
        if not isinstance(text, str):
            raise DataError(
                f"The record {shortened(record['id'])} has {shortened(entry)} in its field {field}, which is no "
                "caption: write a list of texts, or name another field in data.custom_sources."
            )
        yield text


def _answer_to(question: Turn, record: Record) -> str | None:
    turns = record["conversations"]
    after = turns[turns.index(question) + 1 :][:1]
    return after[0]["value"] if after and after[0]["from"] == "gpt" and after[0]["value"].strip() else None


def _answered_with(record: Record, caption: str) -> Record:
    """The record with this answer to its first question, where that has none."""
    turns = record["conversations"]
    first = next(index for index, turn in enumerate(turns) if turn["from"] == "human")
    if _answer_to(turns[first], record):
        return record
    skipped = 2 if [turn["from"] for turn in turns[first + 1 : first + 2]] == ["gpt"] else 1
    changed = [*turns[: first + 1], _answer(caption), *turns[first + skipped :]]
    return cast(Record, {**record, "conversations": changed})


def _answer(caption: str) -> Turn:
    return {"from": "gpt", "value": caption}


def _text_of(value: object) -> str | None:
    return str(value).strip() or None if isinstance(value, str | int) else None


def _type_by(patterns: list[tuple[str, Any]], turn: Turn) -> str | None:
    text = bare_prompt(turn["value"])
    return next((kind for kind, pattern in patterns if pattern.search(text)), None)
