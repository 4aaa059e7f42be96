"""A file of records read one by one, each with its own bytes: what is chosen need not be built and encoded again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.data.records_file import Record, require_record
from tasks.json_lists import iterate_values


class RecordSlice(dict[str, Any]):
    """A record's id and image, and its bytes as they stood in the file; one line, whatever the file's layout was."""

    __slots__ = ("content",)

    def __init__(self, record: Record, content: bytes):
        super().__init__(id=record["id"], image=record["image"])
        self.content = content


def read_slices(path: Path) -> list[RecordSlice]:
    """All records of a file as slices; raises DataError as read_records does."""
    return [RecordSlice(record, content) for record, content in iterate_records(path)]


def iterate_records(path: Path, allow_outside: bool = False) -> Iterator[tuple[Record, bytes]]:
    """Each record of a file with its bytes; raises DataError as read_records does, though perhaps after some."""
    for index, (record, text) in enumerate(iterate_values(path)):
        require_record(path, index, record, allow_outside)
        yield record, _one_line(text, record)


def _one_line(text: str, record: Record) -> bytes:
    if "\n" not in text:
        return text.encode()
    try:
        return json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # half a surrogate pair, which JSON may hold and UTF-8 may not
        return json.dumps(record).encode()
