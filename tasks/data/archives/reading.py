"""Read an archive of a known kind into an empty folder, here or in a child process with little memory."""

import errno
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tasks.data.archives.admission import Gate, Limits, NoRoomError
from tasks.errors import DataError, RsvlmError
from tasks.processes import call_in_process

# Their libraries take what the archive's headers ask for, dictionaries of gigabytes included, before we can judge it,
# and the one of rar is C++ that a damaged file may crash.
IN_CHILD = frozenset({"7z", "rar"})
CHILD_MEMORY_BYTES = 2 << 30
# libraries raise OSError without a number; the system refuses to go where a damaged offset leads
OF_THE_ARCHIVE = (None, errno.EINVAL, errno.EOVERFLOW)


@dataclass(frozen=True)
class Unpacked:
    """What came out of an archive: files, and all entries, folders included."""

    files: int
    entries: int
    total_bytes: int


@dataclass(frozen=True)
class Reading:
    """An archive, its kind, the empty folder that it goes to, its limits, and how many processes may share it."""

    kind: str
    archive: Path
    folder: Path
    limits: Limits
    workers: int


def read_archive(reading: Reading) -> Unpacked:
    """Unpack an archive with bounded memory; raises DataError, and may leave part of it in the folder."""
    if reading.kind not in IN_CHILD:
        return read_here(reading)
    with damage_named(reading.archive):
        return call_in_process(partial(read_here, reading), CHILD_MEMORY_BYTES)


def read_here(reading: Reading) -> Unpacked:
    """The same in this process, of whatever kind."""
    gate = Gate(reading.archive, reading.folder, reading.limits)
    # all errors get their sentence here: those of libraries may not survive the way from a child
    with damage_named(reading.archive):
        _unpack(reading, gate)
    return Unpacked(gate.files, gate.entries, gate.total_bytes)


def _unpack(reading: Reading, gate: Gate) -> None:
    if reading.kind == "zip":
        from tasks.data.archives.zip_archive import unpack_zip

        unpack_zip(reading.archive, reading.folder, gate, reading.workers)
    elif reading.kind == "7z":
        from tasks.data.archives.seven_zip_archive import unpack_seven_zip

        unpack_seven_zip(reading.archive, reading.folder, gate)
    elif reading.kind == "rar":
        from tasks.data.archives.rar_archive import unpack_rar

        unpack_rar(reading.archive, reading.folder, gate)
    else:
        from tasks.data.archives.tar_archive import unpack_tar

        unpack_tar(reading.archive, reading.folder, gate, reading.kind)


@contextmanager
def damage_named(archive: Path) -> Iterator[None]:
    """Raise DataError, in one sentence, for whatever a library stumbles over in a damaged archive."""
    try:
        yield
    except RsvlmError:
        raise
    except (MemoryError, BrokenProcessPool):
        raise _damaged(archive, "its reader ran out of memory or broke down") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoomError(f"The disk is full while unpacking {archive}: make room and try again.") from None
        if error.errno not in OF_THE_ARCHIVE:
            raise
        raise _damaged(archive, _reason(error)) from None
    except Exception as error:
        # each library raises whatever it stumbles over in a damaged file
        raise _damaged(archive, _reason(error)) from None


def _reason(error: Exception) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in str(error))
    return " ".join(text.split())[:200] or type(error).__name__


def _damaged(archive: Path, reason: str) -> DataError:
    return DataError(f"{archive} is damaged or cut off ({reason}): fetch it again. Nothing of it was kept.")
