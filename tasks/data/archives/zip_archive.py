"""Zip archives: several processes unpack a share of the entries each."""

import io
import stat
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tasks.data.archives.admission import TRUSTED, Entry, Gate, Kind
from tasks.data.archives.writing import write_stream
from tasks.processes import map_in_processes

ENCRYPTED_FLAG = 0x1
# Starting a process costs as much as unpacking many thousand small files.
ALONE_BELOW = 10_000
LARGEST_DIRECTORY_BYTES = 256 << 20
DIRECTORY_ENTRY = b"PK\x01\x02"
# LZMA, the third that zipfile knows, takes as much memory as the archive asks for
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)


class _Listed(io.FileIO):
    """An archive of which zipfile reads the directory: refused before it makes an object of each of its entries."""

    def __init__(self, archive: Path, gate: Gate):
        super().__init__(archive)
        self._gate = gate

    def read(self, size: int | None = -1, /) -> bytes:
        """Read what zipfile asks for at once: the directory, or a few bytes that lead to it."""
        if size is not None and size > LARGEST_DIRECTORY_BYTES:
            self._gate.refuse(f"has a directory of more than {LARGEST_DIRECTORY_BYTES} bytes", TRUSTED)
        data = super().read(size)
        if data.count(DIRECTORY_ENTRY) > self._gate.limits.entries:
            self._gate.refuse(f"holds more than {self._gate.limits.entries} files and folders", TRUSTED)
        return data


def unpack_zip(archive: Path, folder: Path, gate: Gate, workers: int) -> None:
    """Unpack a zip archive into an empty folder."""
    with _Listed(archive, gate) as listed, zipfile.ZipFile(listed) as file:
        infos = file.infolist()
        # entries that share their bytes are how a small archive becomes petabytes
        if sum(info.compress_size for info in infos) > gate.packed_bytes:
            gate.refuse("has entries that overlap", "it is damaged or made to do harm")
        targets = _admitted(infos, folder, gate)
    for parent in {target.rpartition("/")[0] for _, target in targets}:
        Path(parent).mkdir(parents=True, exist_ok=True)
    if workers < 2 or len(targets) < ALONE_BELOW:
        _unpack_share(archive, targets)
        return
    # One share a worker, since each reads the whole directory; neighbours stay together, which keeps reading local.
    size = -(-len(targets) // workers)
    shares = [targets[start : start + size] for start in range(0, len(targets), size)]
    map_in_processes(partial(_unpack_share, archive), shares, workers)


def _admitted(infos: Sequence[zipfile.ZipInfo], folder: Path, gate: Gate) -> list[tuple[int, str]]:
    """Index and target of each file; folders are made."""
    targets: list[tuple[int, str]] = []
    for index, info in enumerate(infos):
        # zipfile cuts a name at its first NUL; what the archive says is judged
        name = info.orig_filename if "\0" in info.orig_filename else info.filename
        if info.compress_type not in METHODS:
            gate.refuse(f"is packed by a method that is not read here ({info.compress_type})", "repack it with deflate")
        entry = Entry(name, info.file_size, _kind_of(info), bool(info.flag_bits & ENCRYPTED_FLAG))
        path = f"{folder}/{gate.admit(entry)}"
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
