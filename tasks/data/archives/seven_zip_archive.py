"""7z archives, by py7zr, whose threads unpack one block each."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import py7zr
from py7zr.io import Py7zIO, WriterFactory

from tasks.data.archives.entries import Entry, EntryChecker, Kind, NewFile

if TYPE_CHECKING:
    from py7zr.py7zr import ArchiveFile


class _Target(Py7zIO):
    """A new file with the interface that py7zr writes to."""

    def __init__(self, path: Path, size_bytes: int):
        self._file = NewFile(str(path), size_bytes)

    def write(self, s: bytes | bytearray) -> int:
        return self._file.write(s)

    def close(self) -> None:
        self._file.__exit__(None, None, None)

    def read(self, size: int | None = None) -> bytes:
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0

    def flush(self) -> None:
        return

    def size(self) -> int:
        return 0


class _Targets(WriterFactory):
    """Opens the checked path of each entry."""

    def __init__(self, folder: Path, sizes: dict[str, int]):
        self._folder, self._sizes = folder, sizes

    def create(self, filename: str) -> Py7zIO:
        path = str(PurePosixPath(filename))
        return _Target(self._folder / path, self._sizes[path])


def unpack_seven_zip(archive: Path, folder: Path, checker: EntryChecker) -> None:
    """Unpack a 7z archive into an empty folder."""
    try:
        file = py7zr.SevenZipFile(archive)
    except py7zr.PasswordRequired:
        checker.refuse("is encrypted", "give an archive without a password")
    with file:
        if file.needs_password():
            checker.refuse("is encrypted", "give an archive without a password")
        sizes: dict[str, int] = {}
        for member in file.files:
            entry = Entry(member.filename, _size_of(member), _kind_of(member))
            path = checker.check(entry)
            if entry.kind == "folder":
                (folder / path).mkdir(parents=True, exist_ok=True)
            else:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                sizes[path] = entry.size_bytes
        file.extractall(factory=_Targets(folder, sizes))


def _size_of(member: "ArchiveFile") -> int:
    size = member.uncompressed
    return sum(size) if isinstance(size, list) else int(size)


def _kind_of(member: "ArchiveFile") -> Kind:
    if member.is_symlink or member.is_junction:
        return "link"
    if member.is_directory:
        return "folder"
    return "file" if member.is_file else "device"
