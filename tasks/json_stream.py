"""Files that list JSON values, read value by value: a JSON list, or JSON Lines with one value a line.

As a whole, a list of 91 MB takes 600 MB as Python objects. Of JSON Lines one line at a time is in memory.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tasks.errors import DataError
from tasks.files import read_json
from tasks.json_text import MOST_LEVELS, STRICT, parse_json, require_shallow

SPACE = " \t\r\n"
BLANK, BYTE_ORDER_MARK = SPACE.encode(), b"\xef\xbb\xbf"
# as Python calls a character of which the last bytes lack
CUT_OFF = "unexpected end of data"
LINES_SUFFIXES = frozenset((".jsonl", ".ndjson"))


class Listed(NamedTuple):
    """A value with its text, and the line that it fills, from 1; None in a JSON list."""

    value: Any
    text: str
    line: int | None

    def place(self, name: str) -> str:
        """Where the value stands: its line, or else `name`, such as "record 3"."""
        return name if self.line is None else f"line {self.line}"


def iterate_values(path: Path) -> Iterator[Listed]:
    """Each value of a JSON list or of JSON Lines; raises DataError, though perhaps after some, for any other file."""
    return _iterate_lines(path) if _holds_lines(path) else _iterate_list(path)


def _holds_lines(path: Path) -> bool:
    """Whether the first line is a whole object, and others follow it or the file's name speaks of lines."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        filled = (line for line in map(_bare, file) if line)
        first = next(filled, b"")
        if not (first.startswith(b"{") and first.endswith(b"}") and _is_json(first)):
            return False
        return path.suffix.lower() in LINES_SUFFIXES or next(filled, None) is not None


def _bare(line: bytes) -> bytes:
    return line.removeprefix(BYTE_ORDER_MARK).strip(BLANK)


def _is_json(content: bytes) -> bool:
    try:
        parse_json(content, "a line")
    except DataError:
        return False
    return True


def _iterate_lines(path: Path) -> Iterator[Listed]:
    # binary: texts may hold U+2028 and its like, at which text files are not cut either, but \r would be
    with path.open("rb") as file:
        for number, line in enumerate(map(_bare, file), 1):
            if not line:
                continue
            try:
                text = line.decode()
            except UnicodeDecodeError:
                raise DataError(f"{path}, line {number} is not in UTF-8: write it again in UTF-8.") from None
            yield Listed(parse_json(text, f"{path}, line {number}"), text, number)


def _iterate_list(path: Path) -> Iterator[Listed]:
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
        yield Listed(value, text[start:end], None)
        place, index = _skip(text, end), index + 1
    if text[place:].rstrip(SPACE) != "]":
        raise _wrong(path)


def _text_of(path: Path) -> str:
    try:
        # as json does: a byte order mark at the start is no content
        return path.read_bytes().decode("utf-8-sig")
    except OSError:
        read_json(path)
        raise
    except UnicodeDecodeError as error:
        if error.reason == CUT_OFF:
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
        return _several_values(path) or error
    return DataError(
        f"{path} holds no list of records: give a JSON file that begins with [, or JSON Lines with one record a line."
    )


def _several_values(path: Path) -> DataError | None:
    """What is said of whole values one behind the other, which are neither a list nor one a line."""
    text = _text_of(path)
    try:
        _, end = STRICT.raw_decode(text, _skip(text, 0))
    except (ValueError, RecursionError):
        return None
    if text[_skip(text, end) :].lstrip(SPACE + ",")[:1] not in ("{", "["):
        return None
    return DataError(
        f"{path} holds several JSON values that are neither one list nor one record a line: write them as one list "
        "in [ ], or as JSON Lines with each record on a line of its own and no commas between."
    )
