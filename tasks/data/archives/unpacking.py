"""Unpack zip, tar, rar and 7z archives, known by their first bytes; whatever is wrong, nothing is left behind."""

import os
import tarfile
from pathlib import Path

from tasks.data.archives.admission import Limits
from tasks.data.archives.reading import Reading, Unpacked, read_archive
from tasks.errors import DataError
from tasks.manifests import atomic_folder

SIGNATURES = {
    "zip": (b"PK\x03\x04", b"PK\x05\x06"),
    "7z": (b"7z\xbc\xaf\x27\x1c",),
    "rar": (b"Rar!\x1a\x07",),
    "gzip": (b"\x1f\x8b",),
    "bzip2": (b"BZh",),
    "xz": (b"\xfd7zXZ\x00",),
    "zstd": (b"\x28\xb5\x2f\xfd",),
}


def archive_kind(path: Path) -> str | None:
    """What kind of archive a file is by its content, or None when it is none."""
    with path.open("rb") as file:
        start = file.read(tarfile.BLOCKSIZE)
    for kind, signatures in SIGNATURES.items():
        if start.startswith(signatures):
            return kind
    return "tar" if _is_tar_header(start) else None


def _is_tar_header(block: bytes) -> bool:
    # nothing beyond the first block is read: what it announces may be endless
    try:
        tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


def unpack(archive: Path, folder: Path, limits: Limits | None = None, workers: int | None = None) -> Unpacked:
    """Unpack an archive into `folder`, which must not exist; it appears whole or not at all.

    Names, kinds and sizes are judged first; `workers` processes at most are used, by default one a CPU. Raises
    DataError for an archive that is none, damaged, cut off, encrypted, larger than `limits`, or that holds a path
    out of its folder, a link, a device, or two entries for one name. Memory is bounded, whatever an archive declares.
    """
    if not archive.is_file():
        raise DataError(f"{archive} is no file: give the path of an archive.")
    if folder.exists():
        raise DataError(f"{folder} exists: give a folder that does not, or move it away.")
    kind = archive_kind(archive)
    if kind is None:
        raise DataError(f"{archive} is no zip, tar, rar or 7z archive: fetch it again, or give another file.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder) as part:
        return read_archive(Reading(kind, archive, part, limits or Limits(), workers or os.cpu_count() or 1))
