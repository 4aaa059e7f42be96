"""Zip archives: each of several processes unpacks a share of the entries."""

import io
import stat
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tasks.data.archives.entries import TRUSTED, Entry, EntryChecker, Kind, write_stream
from tasks.processes import map_in_processes

ENCRYPTED_FLAG = 0x1
# Starting a process costs as much as unpacking many thousand small files.
IN_PROCESSES_FROM = 10_000
LARGEST_DIRECTORY_BYTES = 256 << 20
DIRECTORY_ENTRY = b"PK\x01\x02"
# without LZMA, which zipfile also reads, but with as much memory as the archive asks for
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)


class _CheckedFile(io.FileIO):
    """An archive file that refuses a huge directory before zipfile creates an object for each entry."""

    def __init__(self, archive: Path, checker: EntryChecker):
        super().__init__(archive)
        self._checker = checker

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most `size` bytes: the whole directory, or the few bytes that locate it."""
        if size is not None and size > LARGEST_DIRECTORY_BYTES:
            self._checker.refuse(f"has a directory of more than {LARGEST_DIRECTORY_BYTES} bytes", TRUSTED)
        data = super().read(size)
        if data.count(DIRECTORY_ENTRY) > self._checker.limits.entries:
            self._checker.refuse(f"holds more than {self._checker.limits.entries} files and folders", TRUSTED)
        return data


def unpack_zip(archive: Path, folder: Path, checker: EntryChecker, workers: int) -> None:
    """Unpack a zip archive into an empty folder."""
    with _CheckedFile(archive, checker) as listed, zipfile.ZipFile(listed) as file:
        infos = file.infolist()
        # with overlapping entries a small archive can unpack to petabytes
        if sum(info.compress_size for info in infos) > checker.packed_bytes:
            checker.refuse("has entries that overlap", "it is damaged or malicious")
        targets = _checked(infos, folder, checker)
    for parent in {target.rpartition("/")[0] for _, target in targets}:
        Path(parent).mkdir(parents=True, exist_ok=True)
    if workers < 2 or len(targets) < IN_PROCESSES_FROM:
        _unpack_share(archive, targets)
        return
    # one contiguous share per worker: each worker reads the whole directory, and reads stay local
    size = -(-len(targets) // workers)
    shares = [targets[start : start + size] for start in range(0, len(targets), size)]
    map_in_processes(partial(_unpack_share, archive), shares, workers)


def _checked(infos: Sequence[zipfile.ZipInfo], folder: Path, checker: EntryChecker) -> list[tuple[int, str]]:
    """Index and target of each file; creates the folders."""
    targets: list[tuple[int, str]] = []
    for index, info in enumerate(infos):
        # zipfile cuts a name at its first NUL; check the name in the archive
        name = info.orig_filename if "\0" in info.orig_filename else info.filename
        if info.compress_type not in METHODS:
            checker.refuse(f"uses the unsupported compression method {info.compress_type}", "repack it with deflate")
        entry = Entry(name, info.file_size, _kind_of(info), bool(info.flag_bits & ENCRYPTED_FLAG))
        path = f"{folder}/{checker.check(entry)}"
        if entry.kind == "folder":
            Path(path).mkdir(parents=True, exist_ok=True)
        else:
            targets.append((index, path))
    return targets


def _kind_of(info: zipfile.ZipInfo) -> Kind:
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "device"
    return "folder" if info.is_dir() else "file"


def _unpack_share(archive: Path, targets: Sequence[tuple[int, str]]) -> None:
    with zipfile.ZipFile(archive) as file:
        infos = file.infolist()
        for index, target in targets:
            with file.open(infos[index]) as source:
                write_stream(target, source, infos[index].file_size)
