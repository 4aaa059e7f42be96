"""Rar archives, by UnRAR's library in the package unrar2-cffi: list and check all entries, then unpack in one pass."""

import stat
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tasks.data.archives.entries import Entry, EntryChecker, Kind, NewFile
from tasks.errors import DataError

if TYPE_CHECKING:
    from unrar.cffi.unrarlib import RarArchive, RarHeader

SPLIT_FLAGS, ENCRYPTED_FLAG, FOLDER_FLAG = 0x03, 0x04, 0x20
END_OF_ARCHIVE = 10
UNIX = 3
# Half of the child process's memory; the archives of the four sources need some MB.
LARGEST_DICTIONARY_KB = 1 << 20
# The final block of a rar 5 archive, always the same bytes; without it the file was cut between two entries.
SIGNATURE_5, END_BLOCK_5 = b"Rar!\x1a\x07\x01\x00", b"\x1d\x77\x56\x51\x03\x05\x04\x00"
TAIL_BYTES = 1 << 16


def unpack_rar(archive: Path, folder: Path, checker: EntryChecker) -> None:
    """Unpack a rar archive into an empty folder; raises DataError if the package for it is missing."""
    unrar = _library()
    _require_end_block(archive)
    with _opened(unrar, archive, checker) as file:
        for header in _headers(unrar, file):
            _check(header, checker)
            header.skip()
    fresh = EntryChecker(archive, folder, checker.limits)
    with _opened(unrar, archive, fresh) as file:
        for header in _headers(unrar, file):
            entry = _entry_of(header)
            path = folder / fresh.check(entry)
            if entry.kind == "folder":
                path.mkdir(parents=True, exist_ok=True)
                header.skip()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(header, path, entry.size_bytes)


def _library() -> ModuleType:
    try:
        from unrar.cffi import unrarlib
    except ImportError:
        raise DataError(
            "rar archives need the package unrar2-cffi, which is not installed here: "
            "pip install unrar2-cffi, or repack the archive as zip."
        ) from None
    return unrarlib


def _opened(unrar: ModuleType, archive: Path, checker: EntryChecker) -> "RarArchive":
    try:
        return unrar.RarArchive.open_for_processing(archive)
    except unrar.BadRarPassword:
        checker.refuse("is encrypted", "give an archive without a password")


def _headers(unrar: ModuleType, file: "RarArchive") -> "Iterator[RarHeader]":
    # the package's iterator mistakes damage for the end
    while True:
        data = unrar.RARHeaderDataEx()
        code = unrar.RARReadHeaderEx(file.handle, data)
        if code == END_OF_ARCHIVE:
            return
        if code != unrar.FLAGS_SUCCESS:
            raise unrar.BadRarFile(code, f"UnRAR's error {code}")
        yield unrar.RarHeader(file, data)


def _check(header: "RarHeader", checker: EntryChecker) -> None:
    if header.Flags & SPLIT_FLAGS:
        checker.refuse("is one of several volumes", "repack them as one archive")
    if header.headerDataEx.DictSize > LARGEST_DICTIONARY_KB:
        checker.refuse("needs more than 1 GB of memory", "repack it with a smaller dictionary")
    checker.check(_entry_of(header))


def _entry_of(header: "RarHeader") -> Entry:
    size = header.UnpSize + (header.headerDataEx.UnpSizeHigh << 32)
    return Entry(header.FileNameW, size, _kind_of(header), bool(header.Flags & ENCRYPTED_FLAG))


def _kind_of(header: "RarHeader") -> Kind:
    mode = header.headerDataEx.FileAttr if header.HostOS == UNIX else 0
    if header.headerDataEx.RedirType or stat.S_ISLNK(mode):
        return "link"
    if header.Flags & FOLDER_FLAG:
        return "folder"
    return "file" if stat.S_IFMT(mode) in (0, stat.S_IFREG) else "device"


def _write(header: "RarHeader", path: Path, size_bytes: int) -> None:
    errors: list[Exception] = []
    with NewFile(str(path), size_bytes) as file:

        def keep(chunk: bytes) -> None:
            # an exception cannot pass through the C library: keep the first one and skip the rest of the file
            try:
                if not errors:
                    file.write(chunk)
            except (DataError, OSError) as error:
                errors.append(error)

        header.test(keep)
        if errors:
            raise errors[0]


def _require_end_block(archive: Path) -> None:
    with archive.open("rb") as file:
        if file.read(len(SIGNATURE_5)) != SIGNATURE_5:
            return
        file.seek(max(0, archive.stat().st_size - TAIL_BYTES))
        if END_BLOCK_5 not in file.read():
            raise EOFError("the final block is missing")
