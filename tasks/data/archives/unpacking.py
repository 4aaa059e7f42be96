"""Unpack zip, tar, rar and 7z archives, recognised by their first bytes; after any error nothing is left.

7z and rar archives are read in a child process with limited memory: their libraries allocate what the headers ask for,
dictionaries of gigabytes included, before the entries can be checked, and a damaged file may crash the C++ of UnRAR.
"""

import errno
import os
import tarfile
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tasks.data.archives.entries import ArchiveLimits, EntryChecker, NoRoomError
from tasks.errors import DataError, RsvlmError
from tasks.manifests import atomic_folder
from tasks.processes import call_in_process

IN_CHILD = frozenset({"7z", "rar"})
CHILD_MEMORY_BYTES = 2 << 30
# errors of the archive, not of the disk: from libraries without a number, or a seek to a damaged offset
ARCHIVE_ERRNOS = (None, errno.EINVAL, errno.EOVERFLOW)


@dataclass(frozen=True)
class UnpackedCounts:
    """The numbers of unpacked files, of entries including folders, and of bytes."""

    files: int
    entries: int
    total_bytes: int


@dataclass(frozen=True)
class UnpackJob:
    """An archive to unpack into an empty folder with at most `workers` processes."""

    kind: str
    archive: Path
    folder: Path
    limits: ArchiveLimits
    workers: int


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
    """The kind of an archive, from the content of the file, or None for any other file."""
    with path.open("rb") as file:
        start = file.read(tarfile.BLOCKSIZE)
    for kind, signatures in SIGNATURES.items():
        if start.startswith(signatures):
            return kind
    return "tar" if _is_tar_header(start) else None


def _is_tar_header(block: bytes) -> bool:
    # read only the first block: a hostile header may declare any length
    try:
        tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


def unpack(
    archive: Path, folder: Path, limits: ArchiveLimits | None = None, workers: int | None = None
) -> UnpackedCounts:
    """Unpack an archive into `folder`, which must not exist; it appears complete or not at all.

    At most `workers` processes are used, by default one per CPU. Memory is bounded, whatever the archive declares.
    Raises DataError for a file that is not an archive, and for an archive that is damaged, cut off, encrypted, larger
    than `limits`, or holds a path out of its folder, a link, a device, or two entries for one name.
    """
    if not archive.is_file():
        raise DataError(f"{archive} is not a file: give the path of an archive.")
    if folder.exists():
        raise DataError(f"{folder} exists: give a new folder, or move it away.")
    kind = archive_kind(archive)
    if kind is None:
        raise DataError(f"{archive} is not a zip, tar, rar or 7z archive: fetch it again, or give another file.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder) as part:
        return unpack_bounded(UnpackJob(kind, archive, part, limits or ArchiveLimits(), workers or os.cpu_count() or 1))


def unpack_bounded(job: UnpackJob) -> UnpackedCounts:
    """Unpack an archive, in a child process where its kind needs one; on DataError part of it may be left."""
    if job.kind not in IN_CHILD:
        return unpack_here(job)
    with damage_as_data_error(job.archive):
        return call_in_process(partial(unpack_here, job), CHILD_MEMORY_BYTES)


def unpack_here(job: UnpackJob) -> UnpackedCounts:
    """Unpack an archive of any kind in this process; on DataError part of it may be left."""
    checker = EntryChecker(job.archive, job.folder, job.limits)
    # convert errors here: those of libraries may not survive pickling from a child
    with damage_as_data_error(job.archive):
        _unpack(job, checker)
    return UnpackedCounts(checker.files, checker.entries, checker.total_bytes)


def _unpack(job: UnpackJob, checker: EntryChecker) -> None:
    if job.kind == "zip":
        from tasks.data.archives.zip_archive import unpack_zip

        unpack_zip(job.archive, job.folder, checker, job.workers)
    elif job.kind == "7z":
        from tasks.data.archives.seven_zip_archive import unpack_seven_zip

        unpack_seven_zip(job.archive, job.folder, checker)
    elif job.kind == "rar":
        from tasks.data.archives.rar_archive import unpack_rar

        unpack_rar(job.archive, job.folder, checker)
    else:
        from tasks.data.archives.tar_archive import unpack_tar

        unpack_tar(job.archive, job.folder, checker, job.kind)


@contextmanager
def damage_as_data_error(archive: Path) -> Iterator[None]:
    """Convert any error that a library raises for a damaged archive to DataError with a one-line message."""
    try:
        yield
    except RsvlmError:
        raise
    except (MemoryError, BrokenProcessPool):
        raise _damaged(archive, "the process that read it ran out of memory or crashed") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoomError(f"The disk is full while unpacking {archive}: make room and try again.") from None
        if error.errno not in ARCHIVE_ERRNOS:
            raise
        raise _damaged(archive, _reason(error)) from None
    except Exception as error:
        # libraries raise errors of any type for a damaged file
        raise _damaged(archive, _reason(error)) from None


def _reason(error: Exception) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in str(error))
    return " ".join(text.split())[:200] or type(error).__name__


def _damaged(archive: Path, reason: str) -> DataError:
    return DataError(f"{archive} is damaged or cut off ({reason}): fetch it again. No file of it was kept.")
