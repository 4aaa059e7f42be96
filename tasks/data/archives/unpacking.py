"""Unpack zip, tar, rar and 7z archives, known by their first bytes; whatever is wrong, nothing is left behind."""

import errno
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.data.archives.admission import Gate, Limits, NoRoomError
from tasks.errors import DataError, RsvlmError
from tasks.storage.manifests import made_beside

SIGNATURES = {
    "zip": (b"PK\x03\x04", b"PK\x05\x06"),
    "7z": (b"7z\xbc\xaf\x27\x1c",),
    "rar": (b"Rar!\x1a\x07",),
    "gzip": (b"\x1f\x8b",),
    "bzip2": (b"BZh",),
    "xz": (b"\xfd7zXZ\x00",),
    "zstd": (b"\x28\xb5\x2f\xfd",),
}
SIGNATURE_BYTES = 8


@dataclass(frozen=True)
class Unpacked:
    """What came out of an archive."""

    files: int
    total_bytes: int


def archive_kind(path: Path) -> str | None:
    """What kind of archive a file is by its content, or None when it is none."""
    with path.open("rb") as file:
        start = file.read(SIGNATURE_BYTES)
    for kind, signatures in SIGNATURES.items():
        if start.startswith(signatures):
            return kind
    return "tar" if _is_plain_tar(path) else None


def _is_plain_tar(path: Path) -> bool:
    try:
        with tarfile.open(path, "r:"):
            return True
    except (tarfile.TarError, EOFError, ValueError):
        return False


def unpack(archive: Path, folder: Path, limits: Limits | None = None, workers: int | None = None) -> Unpacked:
    """Unpack an archive into `folder`, which must not exist; it appears whole or not at all.

    Names, kinds and sizes are judged first; `workers` processes at most are used, by default one a CPU. Raises
    DataError for an archive that is none, damaged, cut off, encrypted, larger than `limits`, or that holds a path
    out of its folder, a link, a device, or two entries for one name.
    """
    if not archive.is_file():
        raise DataError(f"{archive} is no file: give the path of an archive.")
    if folder.exists():
        raise DataError(f"{folder} exists: give a folder that does not, or move it away.")
    kind = archive_kind(archive)
    if kind is None:
        raise DataError(f"{archive} is no zip, tar, rar or 7z archive: fetch it again, or give another file.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with made_beside(folder) as part:
        gate = Gate(archive, part, limits or Limits())
        with _damage_named(archive):
            _unpack_kind(kind, archive, part, gate, workers or os.cpu_count() or 1)
    return Unpacked(gate.files, gate.total_bytes)


def _unpack_kind(kind: str, archive: Path, folder: Path, gate: Gate, workers: int) -> None:
    if kind == "zip":
        from tasks.data.archives.zip_archive import unpack_zip

        unpack_zip(archive, folder, gate, workers)
    elif kind == "7z":
        from tasks.data.archives.seven_zip_archive import unpack_seven_zip

        unpack_seven_zip(archive, folder, gate)
    elif kind == "rar":
        from tasks.data.archives.rar_archive import unpack_rar

        unpack_rar(archive, folder, gate)
    else:
        from tasks.data.archives.tar_archive import unpack_tar

        unpack_tar(archive, folder, gate, kind)


@contextmanager
def _damage_named(archive: Path) -> Iterator[None]:
    try:
        yield
    except RsvlmError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoomError(f"The disk is full while unpacking {archive}: make room and try again.") from None
        if error.errno is not None:
            raise
        raise _damaged(archive, error) from None
    except Exception as error:
        # each library raises whatever it stumbles over in a damaged file
        raise _damaged(archive, error) from None


def _damaged(archive: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(f"{archive} is damaged or cut off ({reason}): fetch it again. Nothing of it was kept.")
