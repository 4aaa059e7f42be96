"""Read a file of records one by one, each with its own bytes: what is only chosen need not be built and encoded again.

A published file of 91 MB takes 600 MB as Python objects; here no more than one record is held as such.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.data.records_file import Record, require_record
from tasks.errors import DataError
from tasks.files import read_json

SPACE = " \t\r\n"


class RecordSlice(dict[str, Any]):
    """A record's id and image, and its bytes as they stood in the file; one line, whatever the file's layout was."""

    __slots__ = ("content",)

    def __init__(self, record: Record, content: bytes):
        super().__init__(id=record["id"], image=record["image"])
        self.content = content


def read_slices(path: Path) -> list[RecordSlice]:
    """All records of a file as slices; raises DataError as read_records does."""
    return [RecordSlice(record, content) for record, content in iterate_records(path)]


def iterate_records(path: Path) -> Iterator[tuple[Record, bytes]]:
    """Each record of a file with its bytes; raises DataError as read_records does, though perhaps after some."""
    text = _text_of(path)
    decode = json.JSONDecoder().raw_decode
    place = _skip(text, 0)
    if text[place : place + 1] != "[":
        raise _wrong(path)
    place, index = _skip(text, place + 1), 0
    while index == 0 or text[place : place + 1] == ",":
        if index == 0 and text[place : place + 1] == "]":
            break
        start = _skip(text, place + 1) if index else place
        try:
            record, end = decode(text, start)
        except json.JSONDecodeError:
            raise _wrong(path) from None
        require_record(path, index, record)
        yield record, _one_line(text[start:end], record)
        place, index = _skip(text, end), index + 1
    if text[place:].rstrip(SPACE) != "]":
        raise _wrong(path)


def _text_of(path: Path) -> str:
    try:
        # as json does: a byte order mark at the start is no content
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        read_json(path)
        raise DataError(f"{path} is not in UTF-8: write it again in UTF-8.") from None


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place] in SPACE:
        place += 1
    return place


def _one_line(text: str, record: Record) -> bytes:
    if "\n" not in text:
        return text.encode()
    try:
        return json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # half a surrogate pair, which JSON may hold and UTF-8 may not
        return json.dumps(record).encode()


def _wrong(path: Path) -> DataError:
    """What the whole file's reader says of it: where it is no JSON, or that it is no list."""
    try:
        read_json(path)
    except DataError as error:
        return error
    return DataError(f"{path} holds no list of records: give a JSON file that begins with [.")
