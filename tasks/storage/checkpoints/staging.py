"""Staging folder: hard links to complete checkpoints that wait for upload, and notes on their upload.

The links keep a checkpoint when the trainer deletes older ones.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

from pydantic import AliasChoices, Field, ValidationError

from tasks.errors import DataError, ModelError, StoreError
from tasks.files import link_or_copy, read_json, write_json
from tasks.paths import (
    CHECKPOINT_PREFIX,
    COMPLETE,
    RESUME_ONLY,
    checkpoint_name,
    is_below,
    notes_folder_of,
    parse_checkpoint_name,
)
from tasks.records import Value

UNFINISHED, ARCHIVED = ".part", ".archived"
# the key of `Note.fix` on disk, which older versions wrote
FIX_KEY = "mend"


class Staged(NamedTuple):
    """A checkpoint in a staging folder; `number` is above 1 if its step was trained again while the first one waits."""

    step: int
    number: int
    path: Path

    @property
    def is_complete(self) -> bool:
        return (self.path / COMPLETE).is_file()


def stage_checkpoint(checkpoint: Path, staging: Path, step: int | None = None) -> Path:
    """Hard-link a complete checkpoint into `staging` as checkpoint-STEP and return its path there.

    If another checkpoint of this step waits there, this one becomes checkpoint-STEP-2. `step` is needed if the
    folder's name does not contain it (`final`). Only file names are written, which takes milliseconds. Raises
    ModelError if the checkpoint lacks its marker, StoreError if the disk is full.
    """
    if not (checkpoint / COMPLETE).is_file():
        raise ModelError(f"{checkpoint} has no {COMPLETE}: it was not saved completely; use an older checkpoint.")
    name = checkpoint.name if step is None else checkpoint_name(step)
    with _store_errors(checkpoint, staging), locked(staging):
        for number in count(1):
            staged = staging / (name if number == 1 else f"{name}-{number}")
            if not (staged / COMPLETE).is_file():
                _link_folder(checkpoint, staged)
                return staged
            if _is_same(checkpoint, staged):
                return staged
    raise AssertionError("numbers do not end")


def _link_folder(checkpoint: Path, staged: Path) -> None:
    part = staged.with_name(f".{staged.name}{UNFINISHED}")
    rmtree(part, ignore_errors=True)
    try:
        for path in sorted(checkpoint.rglob("*")):
            if path.is_file():
                link_or_copy(path, part / path.relative_to(checkpoint))
        if not (part / COMPLETE).is_file():
            raise FileNotFoundError(errno.ENOENT, "the trainer has just deleted it")
        part.rename(staged)
    finally:
        rmtree(part, ignore_errors=True)


def _is_same(checkpoint: Path, staged: Path) -> bool:
    """Whether two folders are the same checkpoint: their markers were written at the same time."""
    return saved_at_ns(checkpoint) == saved_at_ns(staged)


def saved_at_ns(checkpoint: Path) -> int:
    """When a complete checkpoint was marked, in ns; it distinguishes two trainings of the same step."""
    return (checkpoint / COMPLETE).stat().st_mtime_ns


@contextmanager
def _store_errors(checkpoint: Path, staging: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StoreError(
            f"{checkpoint} could not be staged for the store in {staging} ({error.strerror}): "
            f"{'the disk is full, free space there' if full else 'fix that'} and start the same command again; "
            "the checkpoint stays where it is and is archived then."
        ) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder for one process at a time; the lock of a killed process is released."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        # some network shares have no locks: work without them
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF):
                raise
        yield
    finally:
        os.close(handle)


def clear_unfinished(staging: Path) -> None:
    """Remove folders that a killed trainer or uploader left half linked or half removed."""
    with locked(staging):
        for path in staging.glob(f".{CHECKPOINT_PREFIX}*"):
            rmtree(path, ignore_errors=True)


def staged_checkpoints(staging: Path) -> list[Staged]:
    """All checkpoints in staging, complete or not, by step and number."""
    found = ((parse_checkpoint_name(path.name), path) for path in staging.glob("*") if path.is_dir())
    return sorted(Staged(*name, path) for name, path in found if name)


def drop_resume_states(staged: Path) -> None:
    """Remove the files that only resuming needs from a staged checkpoint; the trainer's own folder keeps them."""
    marker = staged / COMPLETE
    content = read_marker(staged)
    if not isinstance(sizes := content.get("files"), dict):
        raise ModelError(f"{marker} is damaged: move that checkpoint away, or write the file again.")
    dropped = {path for pattern in RESUME_ONLY for path in staged.glob(pattern)}
    files = [path for path in staged.rglob("*") if path.is_file() and not dropped.isdisjoint({path, *path.parents})]
    if not files:
        return
    saved_ns = saved_at_ns(staged)
    names = {path.relative_to(staged).as_posix() for path in files}
    kept = {name: size for name, size in sizes.items() if name not in names}
    # a new file replaces the link: the trainer's marker must not change; after a kill the rest is repeated
    write_json(marker, {**content, "files": kept})
    os.utime(marker, ns=(saved_ns, saved_ns))
    for path in files:
        path.unlink()


def remove_staged(staged: Path) -> None:
    """Remove a checkpoint from staging."""
    # renamed first: a kill between two removals must not leave a checkpoint that looks complete
    removed = staged.with_name(f".{staged.name}{ARCHIVED}")
    rmtree(removed, ignore_errors=True)
    staged.rename(removed)
    rmtree(removed, ignore_errors=True)


def has_all_files(checkpoint: Path) -> bool:
    """Whether a checkpoint has all files of its marker, with their sizes."""
    sizes = read_marker(checkpoint).get("files")
    return isinstance(sizes, dict) and all(
        is_below(name) and (checkpoint / name).is_file() and (checkpoint / name).stat().st_size == size
        for name, size in sizes.items()
    )


def read_marker(checkpoint: Path) -> dict[str, object]:
    """The content of COMPLETE.json: step, training and files of a checkpoint; empty if it is missing or damaged."""
    try:
        content = read_json(checkpoint / COMPLETE)
    except DataError:
        return {}
    return content if isinstance(content, dict) else {}


class Note(Value):
    """Whether a checkpoint is in the store, at `uri`, or only on this disk, for the reason `why`.

    `fix` says how it is archived later.
    """

    saved_at_ns: int
    uri: str | None = None
    sha256: str | None = None
    why: str | None = None
    fix: str | None = Field(default=None, validation_alias=AliasChoices("fix", FIX_KEY), serialization_alias=FIX_KEY)


def write_note(staged: Path, note: Note) -> None:
    """Write a checkpoint's note and replace an older one."""
    write_json(_note_file(staged), note.model_dump(mode="json", by_alias=True, exclude_none=True))


def note_on(checkpoint: Path, staging: Path) -> Note | None:
    """The note on a checkpoint of the trainer's folder; a note on another training of its step does not count."""
    for path in notes_folder_of(staging).glob(f"{checkpoint.name}*.json"):
        name = parse_checkpoint_name(path.stem)
        if name and checkpoint_name(name[0]) == checkpoint.name:
            note = _read_note(path)
            if note and note.saved_at_ns == saved_at_ns(checkpoint):
                return note
    return None


def note_failure(staged: Path, error: Exception, fix: str) -> None:
    """Note that a staged checkpoint is only on this disk, and why."""
    write_note(staged, Note(saved_at_ns=saved_at_ns(staged), why=str(error), fix=fix))


def _note_file(staged: Path) -> Path:
    return notes_folder_of(staged.parent) / f"{staged.name}.json"


def _read_note(path: Path) -> Note | None:
    try:
        return Note.model_validate(read_json(path))
    except (DataError, ValidationError):
        return None
