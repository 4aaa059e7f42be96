"""Atomic writes, hashes, JSON and JSON lines: a file is complete or absent."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

from tasks.errors import DataError
from tasks.json_text import parse_json

CHUNK_BYTES = 1 << 20
# far above the resolution of any file system's times, which is 2 s on FAT
SETTLED_NS = 3_000_000_000


class FileState(NamedTuple):
    """What differs once a file has changed: on Linux's own file systems no program can put `changed_ns` back.

    What is written through a memory map may not change it.
    """

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    def is_settled(self, now_ns: int) -> bool:
        """Whether the last change is long ago: the times of two writes in quick succession may be equal."""
        return now_ns - max(self.modified_ns, self.changed_ns) > SETTLED_NS


@contextmanager
def written_atomically(path: Path, synced: bool = True) -> Iterator[Path]:
    """Yield a temporary path next to `path` and rename it to `path` when the block ends without an error.

    The file is synced before it is renamed, so that `path` is never half a file, not even after a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _new_part(path)
    try:
        yield part
        if synced:
            sync(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _new_part(path: Path) -> Path:
    """An empty file next to `path`, with the mode of any new file, which tempfile's do not have."""
    while True:
        part = path.with_name(f".{path.name}.{token_hex(4)}.part")
        with suppress(FileExistsError):
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            return part


def remove_half_written(folder: Path) -> None:
    """Remove all half-written files that killed processes left under a folder; no other process may write there."""
    for part in folder.rglob(".*.part"):
        if part.is_file():
            part.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file's bytes to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with written_atomically(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: object, indent: int | None = 1) -> None:
    """Write `value` as JSON, atomically; keys keep their order."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=indent) + "\n")


def read_json(path: Path, allow_nan: bool = False) -> Any:
    """Read a JSON file; raises DataError when it is missing, cut off or refused by `parse_json`."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: give the path of an existing JSON file.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a directory: give the path of a JSON file.") from None
    return parse_json(content, path, allow_nan)


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON object whose text can be shown; empty if the file is missing, damaged or holds anything else."""
    try:
        value = read_json(path, allow_nan=True)
    except DataError:
        return {}
    return value if isinstance(value, dict) and fits_utf8(value) else {}


def fits_utf8(value: object) -> bool:
    """Whether UTF-8 can encode a JSON-able value: a lone surrogate, half a character, is valid in JSON only."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def write_json_lines(path: Path, rows: Iterable[object]) -> None:
    """Write one JSON value per line, atomically."""
    with written_atomically(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_json_lines(path: Path) -> list[Any]:
    """Read one JSON value per line; raises DataError as iterate_json_lines does."""
    return list(iterate_json_lines(path))


def iterate_json_lines(path: Path) -> Iterator[Any]:
    """Read one JSON value per line; a last line without a line break was cut off by a kill and is left out.

    Raises DataError, with the line number, for a damaged line.
    """
    if not path.exists():
        return
    # in bytes, which are split on \n only: texts may contain U+2028
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n") and line != b"\n":
                yield parse_json(line[:-1], f"{path}, line {number}")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex; this process does not read an unchanged file again."""
    state = state_of(path)
    return _sha256_in_state(path, state) if state.is_settled(time.time_ns()) else _read_sha256(path)


def state_of(path: Path) -> FileState:
    """The present state of a file."""
    found = path.stat()
    return FileState(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@lru_cache(maxsize=100_000)
def _sha256_in_state(path: Path, _state: FileState) -> str:
    return _read_sha256(path)


def _read_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_or_none(path: Path) -> str | None:
    """The SHA-256 of a file's bytes, in hex; None if there is no file."""
    return sha256_of(path) if path.is_file() else None


def digest_of(value: object) -> str:
    """The SHA-256 of a JSON-able value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_tail(path: Path, size_bytes: int) -> bytes:
    """The last bytes of a file."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size_bytes))
        return file.read()


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it if the file system has no links between the two paths."""
    import shutil

    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
