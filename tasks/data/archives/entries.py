"""Archive entries: check names, kinds and sizes before anything is written, and write exactly the declared bytes."""

import shutil
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, NoReturn, Protocol

from tasks.errors import DataError, NoRoomError

Kind = Literal["file", "folder", "link", "device"]

LONGEST_NAME = 255
LONGEST_PATH = 1000
DEEPEST_PATH = 64
KEEP_FREE_BYTES = 64 << 20
TRUSTED = "unpack it yourself and give the folder, if you trust it"
CHUNK_BYTES = 1 << 20


def free_disk_bytes(folder: Path) -> int:
    """The free bytes on the disk of a folder, less a reserve."""
    return shutil.disk_usage(folder).free - KEEP_FREE_BYTES


@dataclass(frozen=True)
class Entry:
    """One entry as the archive declares it; `header_bytes` is the size of its headers where that can be large."""

    name: str
    size_bytes: int
    kind: Kind
    encrypted: bool = False
    header_bytes: int = 0


@dataclass(frozen=True)
class ArchiveLimits:
    """The most that an archive may hold: entries, unpacked bytes, and unpacked bytes per packed byte.

    Entries are files, links and folders, including folders that occur only in a path. The ratio does not apply below
    `ratio_from_bytes`: a text of some MB may compress a thousandfold and is harmless. Names and headers have separate
    limits, since an archive of empty files has nothing else.
    """

    entries: int = 1_000_000
    total_bytes: int = 300 << 30
    name_characters: int = 100_000_000
    header_bytes: int = 4 << 30
    ratio: float = 200
    ratio_from_bytes: int = 64 << 20

    def within(self, packed_bytes: int) -> "ArchiveLimits":
        """These limits for all content of an archive of this size, including archives inside it."""
        total_bytes = max(self.ratio_from_bytes, int(self.ratio * packed_bytes))
        return replace(self, total_bytes=min(self.total_bytes, total_bytes))

    def less(self, entries: int, total_bytes: int) -> "ArchiveLimits":
        """The limits that remain after this much has been unpacked."""
        return replace(self, entries=self.entries - entries, total_bytes=self.total_bytes - total_bytes)


class EntryChecker:
    """Checks the entries of one archive one by one; raises DataError at the first that must not be unpacked."""

    def __init__(self, archive: Path, folder: Path, limits: ArchiveLimits):
        self.archive, self.limits = archive, limits
        self.packed_bytes = archive.stat().st_size
        self.free_bytes = free_disk_bytes(folder)
        self.files, self.entries, self.total_bytes = 0, 0, 0
        self._name_characters, self._header_bytes = 0, 0
        self._kinds: dict[str, Kind] = {}
        self._named: set[str] = set()

    def check(self, entry: Entry) -> str:
        """Check an entry; returns the relative path to write it to, empty for the archive's top folder."""
        path = self.relative_path(entry.name)
        self._count(entry.name)
        self._header_bytes += entry.header_bytes
        if self._header_bytes > self.limits.header_bytes:
            self.refuse(f"has headers of more than {self.limits.header_bytes} bytes", TRUSTED)
        if entry.encrypted:
            self.refuse("is encrypted", "give an archive without a password")
        if entry.kind == "device":
            self.refuse(f"holds a device, pipe or socket ({entry.name!r})", "repack it without")
        if entry.kind == "link":
            self.refuse(f"holds a link ({entry.name!r})", "repack it with the files themselves")
        if path:
            self._require_unique(path, entry.kind)
        elif entry.kind == "file":
            self.refuse("holds a file without a name", "repack it")
        if entry.kind == "file":
            self._require_size(entry)
        return path

    def relative_path(self, name: str) -> str:
        """Convert a name in the archive to a relative path; raises DataError if it leads out of the folder."""
        text = name.replace("\\", "/")
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if text.startswith("/") or text[1:2] == ":" or ".." in parts:
            self.refuse(f"holds a path that leads out of its folder ({name!r})", "do not trust it")
        if not text.isprintable() and any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
            self.refuse(f"holds a name with control or undecodable characters ({name!r})", "repack it")
        if len(text) > LONGEST_PATH or any(len(part.encode()) > LONGEST_NAME for part in parts):
            self.refuse(f"holds a name that is too long ({name[:60]!r}...)", "repack it with shorter names")
        if len(parts) > DEEPEST_PATH:
            self.refuse(f"holds folders too deep within each other ({name[:60]!r}...)", "repack it with fewer levels")
        return "/".join(parts)

    def _require_unique(self, path: str, kind: Kind) -> None:
        folded = _folded(path)
        parent = folded.rpartition("/")[0]
        while parent:
            if parent not in self._kinds:
                self._count(parent)
            if self._kinds.setdefault(parent, "folder") != "folder":
                self.refuse(f"holds {parent!r} as a file and as a folder", "repack it")
            parent = parent.rpartition("/")[0]
        known = self._kinds.setdefault(folded, kind)
        if (known, kind) != ("folder", "folder") and folded in self._named:
            # on some file systems Plane.jpg and plane.jpg are one file: the second would replace the first
            self.refuse(f"holds two entries for one name ({path!r})", "repack it with distinct names")
        if known != kind:
            self.refuse(f"holds {path!r} as a file and as a folder", "repack it")
        self._named.add(folded)

    def _count(self, name: str) -> None:
        self.entries += 1
        self._name_characters += len(name)
        if self.entries > self.limits.entries:
            self.refuse(f"holds more than {self.limits.entries} files and folders", TRUSTED)
        if self._name_characters > self.limits.name_characters:
            self.refuse(f"holds names of more than {self.limits.name_characters} characters", TRUSTED)

    def _require_size(self, entry: Entry) -> None:
        if entry.size_bytes < 0:
            self.refuse(f"declares a negative size ({entry.name!r})", "it is damaged or malicious")
        self.files += 1
        self.total_bytes += entry.size_bytes
        if self.total_bytes > self.limits.total_bytes:
            self.refuse(f"unpacks to more than {self.limits.total_bytes} bytes", TRUSTED)
        if self.total_bytes > max(self.limits.ratio_from_bytes, self.limits.ratio * self.packed_bytes):
            self.refuse(f"unpacks to over {self.limits.ratio:g} times its size", TRUSTED)
        if self.total_bytes > self.free_bytes:
            needed_gb, free_gb = self.total_bytes / 1e9, max(self.free_bytes, 0) / 1e9
            raise NoRoomError(
                f"{self.archive} needs {needed_gb:.1f} GB or more, {free_gb:.1f} GB are free: make room on the disk."
            )

    def refuse(self, problem: str, advice: str) -> NoReturn:
        """Raise the DataError that says what is wrong with the archive and what to do."""
        raise DataError(f"{self.archive} {problem}: {advice}. No file of it was kept.")


def _folded(path: str) -> str:
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


class Readable(Protocol):
    """A binary stream."""

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; empty at the end."""


class NewFile:
    """A new file of exactly `size_bytes` bytes; raises FileExistsError if the path exists."""

    def __init__(self, path: str, size_bytes: int):
        self.path, self.left_bytes = path, size_bytes
        self._file = open(path, "xb", buffering=0)  # noqa: SIM115, PTH123 - a Path for each of 45,000 files costs a second

    def write(self, chunk: bytes | bytearray) -> int:
        """Append bytes; raises DataError beyond the declared size."""
        self.left_bytes -= len(chunk)
        if self.left_bytes < 0:
            raise DataError(f"{self.path} is longer than its archive says")
        # unbuffered: a nearly full disk may write fewer bytes than requested
        written = self._file.write(chunk)
        while written < len(chunk):
            written += self._file.write(memoryview(chunk)[written:])
        return written

    def __enter__(self) -> "NewFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if error is None and self.left_bytes:
            raise DataError(f"{self.path} is shorter than its archive says")


def write_stream(path: str, source: Readable, size_bytes: int) -> None:
    """Write exactly `size_bytes` from `source` to a new file, a chunk at a time."""
    with NewFile(path, size_bytes) as file:
        while chunk := source.read(CHUNK_BYTES):
            file.write(chunk)
