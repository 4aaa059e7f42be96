"""The beginning of a file: what tells its format apart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tasks.errors import DataError
from tasks.json_stream import is_json_lines, is_object, iterate_members, iterate_values

# the first bytes of gzip, zip, bzip2, xz and zstd
COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


class Head(NamedTuple):
    """The first object of a file.

    In a file that is one object, `member` names the list that it comes from and `members` all names up to that one;
    in a list and in JSON Lines both are empty. `lines` is true for JSON Lines.
    """

    entry: Mapping[str, Any]
    member: str = ""
    members: frozenset[str] = frozenset()
    lines: bool = False


def read_head(path: Path) -> Head:
    """Read the beginning of a file; raises DataError when it is missing, damaged or holds no object."""
    if not path.is_file():
        raise DataError(f"{path} is not a file: give the path of an existing JSON file.")
    with path.open("rb") as file:
        if file.read(8).startswith(COMPRESSED):
            raise DataError(f"{path} is compressed: unpack it, and give the file inside.")
    if is_object(path):
        return _head_of_object(path)
    for listed in iterate_values(path):
        if isinstance(listed.value, dict):
            return Head(listed.value, lines=is_json_lines(path))
    raise DataError(f"{path} holds no record: give a file with records.")


def _head_of_object(path: Path) -> Head:
    names: list[str] = []
    for member in iterate_members(path):
        names.append(member.name)
        if member.in_list and isinstance(member.value, dict):
            return Head(member.value, member.name, frozenset(names))
    return Head({}, members=frozenset(names))
