"""A JSON file that is a list, read value by value: as a whole, a file of 91 MB takes 600 MB as Python objects."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.errors import DataError
from tasks.files import read_json
from tasks.json_text import MOST_LEVELS, STRICT, require_shallow

SPACE = " \t\r\n"


def iterate_values(path: Path) -> Iterator[tuple[Any, str]]:
    """Each value of a JSON list with its text; raises DataError, though perhaps after some, where it is no list."""
    text = _text_of(path)
    place = _skip(text, 0)
    if text[place : place + 1] != "[":
        raise _wrong(path)
    place, index = _skip(text, place + 1), 0
    while index == 0 or text[place : place + 1] == ",":
        if index == 0 and text[place : place + 1] == "]":
            break
        start = _skip(text, place + 1) if index else place
        try:
            value, end = STRICT.raw_decode(text, start)
            # the list around it is a level, too
            require_shallow(value, MOST_LEVELS - 1)
        except (ValueError, RecursionError):
            raise _wrong(path) from None
        yield value, text[start:end]
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


def _wrong(path: Path) -> DataError:
    """What the whole file's reader says of it: where it is no JSON, or that it is no list."""
    try:
        read_json(path)
    except DataError as error:
        return error
    return DataError(f"{path} holds no list of records: give a JSON file that begins with [.")
