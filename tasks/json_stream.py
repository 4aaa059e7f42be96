"""Read a JSON list, JSON Lines with one value per line, or the lists of a JSON object, one value at a time.

Parsed at once, a list of 91 MB takes 600 MB of memory. With JSON Lines, only one line is in memory.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tasks.errors import DataError
from tasks.files import read_json
from tasks.json_text import MAX_LEVELS, STRICT, parse_json, require_shallow

SPACE = " \t\r\n"
BLANK, BYTE_ORDER_MARK = SPACE.encode(), b"\xef\xbb\xbf"
# Python's reason for a character whose last bytes are missing
CUT_OFF = "unexpected end of data"
LINES_SUFFIXES = frozenset((".jsonl", ".ndjson"))


class Listed(NamedTuple):
    """A value with its text and its line number, counted from 1; None in a JSON list."""

    value: object
    text: str
    line: int | None

    def location(self, name: str) -> str:
        """Where the value is, for messages: its line, or else `name`, such as "record 3"."""
        return name if self.line is None else f"line {self.line}"


class Member(NamedTuple):
    """A member of a JSON object, or one value of a member that is a list."""

    name: str
    value: object
    in_list: bool


def iterate_values(path: Path) -> Iterator[Listed]:
    """Iterate over the values of a JSON list or of JSON Lines; any other file raises DataError, maybe after some."""
    return _iterate_lines(path) if is_json_lines(path) else _iterate_list(path)


def is_object(path: Path) -> bool:
    """Whether a file holds one JSON object, by its first character; JSON Lines are not one."""
    if not path.is_file() or is_json_lines(path):
        return False
    with path.open("rb") as file:
        return next((line for line in map(_stripped, file) if line), b"").startswith(b"{")


def iterate_members(path: Path) -> Iterator[Member]:
    """Iterate over the members of a JSON object; a member that is a list comes one value at a time.

    A file that is not one JSON object raises DataError, maybe after some members.
    """
    text = _text_of(path)
    position = _skip_space(text, 0)
    if text[position : position + 1] != "{":
        raise DataError(f"{path} is not a JSON object: give a file that begins with {{.")
    position, first = position + 1, True
    while first or text[position : position + 1] == ",":
        start = _skip_space(text, position if first else position + 1)
        if first and text[start : start + 1] == "}":
            position = start
            break
        name, position = _member_name(text, start, path)
        if text[position : position + 1] == "[":
            for value, _, end in _elements(text, position, path):
                yield Member(name, value, True)
                position = end
            position = _list_end(text, position, path)
        else:
            value, position = _decoded(text, position, path)
            yield Member(name, value, False)
        position, first = _skip_space(text, position), False
    if text[position:].rstrip(SPACE) != "}":
        raise _error_of(path)


def _member_name(text: str, start: int, path: Path) -> tuple[str, int]:
    """The name of the member at `start`, and where its value begins."""
    name, end = _decoded(text, start, path)
    end = _skip_space(text, end)
    if not isinstance(name, str) or text[end : end + 1] != ":":
        raise _error_of(path)
    return name, _skip_space(text, end + 1)


def is_json_lines(path: Path) -> bool:
    """Whether the first line is a complete object, and more lines follow or the suffix is one of JSON Lines."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        filled = (line for line in map(_stripped, file) if line)
        first = next(filled, b"")
        if not (first.startswith(b"{") and first.endswith(b"}")):
            return False
        # before it is parsed: the one line of a large object would take gigabytes
        if path.suffix.lower() not in LINES_SUFFIXES and next(filled, None) is None:
            return False
        return _is_json(first)


def _stripped(line: bytes) -> bytes:
    return line.removeprefix(BYTE_ORDER_MARK).strip(BLANK)


def _is_json(content: bytes) -> bool:
    try:
        parse_json(content, "a line")
    except DataError:
        return False
    return True


def _iterate_lines(path: Path) -> Iterator[Listed]:
    # binary: a text file would also split lines at \r
    with path.open("rb") as file:
        for number, line in enumerate(map(_stripped, file), 1):
            if not line:
                continue
            try:
                text = line.decode()
            except UnicodeDecodeError:
                raise DataError(f"{path}, line {number} is not in UTF-8: write it again in UTF-8.") from None
            yield Listed(parse_json(text, f"{path}, line {number}"), text, number)


def _iterate_list(path: Path) -> Iterator[Listed]:
    text = _text_of(path)
    position = _skip_space(text, 0)
    if text[position : position + 1] != "[":
        raise _error_of(path)
    end = position
    for value, start, end in _elements(text, position, path):
        yield Listed(value, text[start:end], None)
    if text[_list_end(text, end, path) :].strip(SPACE):
        raise _error_of(path)


def _elements(text: str, opening: int, path: Path) -> Iterator[tuple[object, int, int]]:
    """Each value of the list that opens at `opening`, with its start and its end."""
    position = _skip_space(text, opening + 1)
    if text[position : position + 1] == "]":
        return
    while True:
        value, end = _decoded(text, position, path)
        yield value, position, end
        end = _skip_space(text, end)
        if text[end : end + 1] != ",":
            return
        position = _skip_space(text, end + 1)


def _list_end(text: str, position: int, path: Path) -> int:
    """The position after the bracket that closes a list; `position` is the end of its last value, or its opening."""
    end = _skip_space(text, position + (text[position : position + 1] == "["))
    if text[end : end + 1] != "]":
        raise _error_of(path)
    return end + 1


def _decoded(text: str, start: int, path: Path) -> tuple[object, int]:
    """The value at `start` and its end; it is nested at least one level deep."""
    try:
        value, end = STRICT.raw_decode(text, start)
        # counted first: few values have as many brackets as levels are allowed
        if text.count("{", start, end) + text.count("[", start, end) >= MAX_LEVELS:
            require_shallow(value, MAX_LEVELS - 1)
    except (ValueError, RecursionError):
        raise _error_of(path) from None
    return value, end


def _text_of(path: Path) -> str:
    try:
        # like json, skip a byte order mark
        return path.read_bytes().decode("utf-8-sig")
    except OSError:
        read_json(path)
        raise
    except UnicodeDecodeError as error:
        if error.reason == CUT_OFF:
            read_json(path)
        raise DataError(f"{path} is not in UTF-8: write it again in UTF-8.") from None


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in SPACE:
        position += 1
    return position


def _error_of(path: Path) -> DataError:
    """The error of reading the file at once, which names the position, or else that it is not a list."""
    try:
        read_json(path)
    except DataError as error:
        return _several_values(path) or error
    return DataError(
        f"{path} has no list of records: give a JSON file that begins with [, or JSON Lines with one record per line; "
        "for a file of another tool, first use `rsvlm data import`."
    )


def _several_values(path: Path) -> DataError | None:
    """The error of several complete values that are neither one list nor one per line; None for any other file."""
    text = _text_of(path)
    try:
        _, end = STRICT.raw_decode(text, _skip_space(text, 0))
    except (ValueError, RecursionError):
        return None
    if text[_skip_space(text, end) :].lstrip(SPACE + ",")[:1] not in ("{", "["):
        return None
    return DataError(
        f"{path} holds several JSON values that are neither one list nor one record per line: write them as one list "
        "in [ ], or as JSON Lines with each record on its own line, without commas in between."
    )
