"""A partly downloaded file: `<name>.part` holds the bytes so far, `<name>.part.json` identifies the remote file.

The final name exists only for a complete file. The part is locked, so that one process at a time downloads it.
"""

import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from tasks.data.archives.entries import free_disk_bytes
from tasks.errors import DataError
from tasks.files import read_json, sync, write_json


@dataclass(frozen=True)
class Remote:
    """The identity of one version of a remote file: its URL, validators and size, as far as the server gives them.

    The URL is without its query, which may be a secret or a signature that differs in the next attempt.
    """

    url: str
    etag: str | None
    last_modified: str | None
    size_bytes: int | None

    @property
    def validator(self) -> str | None:
        """The value for If-Range: a strong ETag or the time of the last change."""
        strong = self.etag if self.etag and not self.etag.startswith("W/") else None
        return strong or self.last_modified


class PartialFile:
    """The partial file of one target; opened by `open_part`."""

    def __init__(self, target: Path, file: IO[bytes]):
        self.target, self._file = target, file
        self.path, self._state = part_path(target), state_path(target)

    @property
    def size_bytes(self) -> int:
        """The bytes downloaded so far."""
        return self.path.stat().st_size

    def resumable(self, url: str) -> Remote | None:
        """The remote file of the bytes so far, if its remaining bytes can be requested safely, else None."""
        try:
            remote = Remote(**read_json(self._state))
        except (DataError, TypeError):
            return None
        return remote if remote.url == url and remote.validator and self.size_bytes else None

    def begin(self, remote: Remote) -> None:
        """Discard the bytes so far; the next ones belong to `remote`."""
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
        """Discard everything downloaded so far."""
        self._state.unlink(missing_ok=True)
        self._file.truncate(0)

    def finish(self, record: Mapping[str, object]) -> None:
        """Rename the complete file to its final name, and write its record next to it."""
        sync(self.path)
        write_json(record_path(self.target), record)
        self.path.rename(self.target)
        self._state.unlink(missing_ok=True)


def require_space(target: Path, missing_bytes: int) -> None:
    """Raise DataError when the disk has no room for the missing bytes of a target."""
    free = free_disk_bytes(target.parent)
    if missing_bytes > free:
        free_gb = max(free, 0) / 1e9
        raise DataError(
            f"{target.name} needs {missing_bytes / 1e9:.1f} GB more, {free_gb:.1f} GB are free "
            f"at {target.parent}: make room, or choose another data folder."
        )


def part_path(target: Path) -> Path:
    """The path of the bytes so far."""
    return target.with_name(f"{target.name}.part")


def state_path(target: Path) -> Path:
    """The path of the identity of the remote file."""
    return target.with_name(f"{target.name}.part.json")


def record_path(target: Path) -> Path:
    """The path of the record of a complete file: URL, SHA-256 and size."""
    return target.with_name(f"{target.name}.fetched.json")


@contextmanager
def open_part(target: Path) -> Iterator[PartialFile]:
    """Open and lock the partial file of a target; raises DataError while another process holds it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # unbuffered: received bytes are kept when the process is killed
    with part_path(target).open("ab", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError(f"{target} is being fetched by another process: wait for it, or stop it.") from None
        part = PartialFile(target, file)
        try:
            yield part
        finally:
            if part.path.exists() and not part.size_bytes:
                part.path.unlink()
