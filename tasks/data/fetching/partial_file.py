"""A file on its way: `<name>.part` with the bytes so far, and `<name>.part.json` that says of which remote file.

The final name never stands for half a file. One process at a time: the part is locked while it is fetched.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from tasks.errors import DataError
from tasks.files import read_json, sync, write_json

KEEP_FREE_BYTES = 64 << 20


@dataclass(frozen=True)
class Remote:
    """What tells one state of a remote file from another: its address, validator and size where it tells one.

    The address is without its query, which may be a secret or a signature that the next try has anew.
    """

    url: str
    etag: str | None
    last_modified: str | None
    size_bytes: int | None

    @property
    def validator(self) -> str | None:
        """What If-Range may hold: a strong ETag or the time of the last change."""
        strong = self.etag if self.etag and not self.etag.startswith("W/") else None
        return strong or self.last_modified


class PartialFile:
    """The part of one target; use `opened_part`."""

    def __init__(self, target: Path, file: IO[bytes]):
        self.target, self._file = target, file
        self.path, self._state = part_of(target), state_of(target)

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        return self.path.stat().st_size

    def resumable(self, url: str) -> Remote | None:
        """The remote file that the bytes so far belong to, if it can be asked for the rest of just that file."""
        try:
            remote = Remote(**read_json(self._state))
        except (DataError, TypeError):
            return None
        return remote if remote.url == url and remote.validator and self.size_bytes else None

    def begin(self, remote: Remote) -> None:
        """Forget the bytes so far: what comes now belongs to `remote`."""
        self._state.unlink(missing_ok=True)
        self._file.truncate(0)
        write_json(self._state, asdict(remote))

    def append(self, chunk: bytes) -> None:
        """Add bytes at the end; raises DataError when the disk is full."""
        self._file.seek(0, os.SEEK_END)
        try:
            while chunk:
                chunk = chunk[self._file.write(chunk) :]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise DataError(f"The disk is full while fetching {self.target.name}: make room and try again.") from None

    def discard(self) -> None:
        """Forget everything that was fetched."""
        self._state.unlink(missing_ok=True)
        self._file.truncate(0)

    def finish(self, record: dict[str, Any]) -> None:
        """Give the file its final name, and write beside it what it is."""
        sync(self.path)
        write_json(record_of(self.target), record)
        self.path.rename(self.target)
        self._state.unlink(missing_ok=True)


def require_space(target: Path, missing_bytes: int) -> None:
    """Raise DataError when the disk has no room for what is missing of a target."""
    free_bytes = shutil.disk_usage(target.parent).free - KEEP_FREE_BYTES
    if missing_bytes > free_bytes:
        free_gb = max(free_bytes, 0) / 1e9
        raise DataError(
            f"{target.name} needs {missing_bytes / 1e9:.1f} GB more, {free_gb:.1f} GB are free "
            f"at {target.parent}: make room, or choose another data folder."
        )


def part_of(target: Path) -> Path:
    """Where the bytes so far stand."""
    return target.with_name(f"{target.name}.part")


def state_of(target: Path) -> Path:
    """Where it is told what they belong to."""
    return target.with_name(f"{target.name}.part.json")


def record_of(target: Path) -> Path:
    """Where it is told what a fetched file is."""
    return target.with_name(f"{target.name}.fetched.json")


@contextmanager
def opened_part(target: Path) -> Iterator[PartialFile]:
    """The part of a target, locked; raises DataError while another process has it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # unbuffered: what has arrived is not lost when the process is killed
    with part_of(target).open("ab", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError(f"{target} is being fetched by another process: wait for it, or end it.") from None
        part = PartialFile(target, file)
        try:
            yield part
        finally:
            if part.path.exists() and not part.size_bytes:
                part.path.unlink()
