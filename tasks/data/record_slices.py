"""A file of records read one by one, each with its own bytes: what is chosen need not be built and encoded again."""

import json
from pathlib import Path
from typing import Any

from tasks.data.records_file import Record, iterate_records
from tasks.sources import UNNAMED
from tasks.turn_tasks import TasksBySource, count_tasks, tasks_by_source


class RecordSlice(dict[str, Any]):
    """A record's id and image, how many questions of which task it asks, and its bytes as they stood in the file.

    The bytes are on one line, whatever the file's layout was.
    """

    __slots__ = ("content", "tasks")

    def __init__(self, record: Record, text: str):
        super().__init__(id=record["id"], image=record["image"])
        self.content = _one_line(text, record)
        # as a plain tuple: there may be a million
        self.tasks = tuple(count_tasks(record).items())


def read_slices(path: Path) -> list[RecordSlice]:
    """All records of a file as slices; raises DataError as read_records does."""
    return [RecordSlice(record, text) for record, text in iterate_records(path)]


def tasks_of_slices(slices: list[RecordSlice], unnamed: str = UNNAMED) -> TasksBySource:
    """The questions of each task, by source."""
    return tasks_by_source(((one["image"], dict(one.tasks)) for one in slices), unnamed)


def _one_line(text: str, record: Record) -> bytes:
    if "\n" not in text:
        return text.encode()
    try:
        return json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # half a surrogate pair, which JSON may hold and UTF-8 may not
        return json.dumps(record).encode()
