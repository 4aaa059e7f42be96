"""Staging: complete checkpoints that wait for the store, safe from the trainer's rotation by hard links."""

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

from tasks.errors import DataError, ModelError, StoreError
from tasks.files import link_or_copy, read_json, write_json
from tasks.paths import COMPLETE, RESUME_ONLY, is_below

UNFINISHED, ARCHIVED = ".part", ".archived"
NAME = re.compile(r"checkpoint-(\d+)(?:-(\d+))?")


class Staged(NamedTuple):
    """A checkpoint in a staging folder; one that was trained again while the first still waits has a `number`."""

    step: int
    number: int
    path: Path

    @property
    def is_complete(self) -> bool:
        return (self.path / COMPLETE).is_file()


def stage_checkpoint(checkpoint: Path, staging: Path, step: int | None = None) -> Path:
    """Hard-link a complete checkpoint into `staging` as checkpoint-STEP and return its place there.

    Another checkpoint of this step that waits there is left alone: this one stands at checkpoint-STEP-2 then. `step`
    is needed where the folder's name does not tell it (`final`). Only file names are written, so the trainer is held
    for milliseconds. Raises ModelError when the checkpoint lacks its marker, StoreError when the disk is full.
    """
    if not (checkpoint / COMPLETE).is_file():
        raise ModelError(f"{checkpoint} has no {COMPLETE}: it was not saved to its end; use an older checkpoint.")
    name = checkpoint.name if step is None else f"checkpoint-{step}"
    with _refusals(checkpoint, staging), locked(staging):
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
            raise FileNotFoundError(errno.ENOENT, "it was rotated away in this moment")
        part.rename(staged)
    finally:
        rmtree(part, ignore_errors=True)


def _is_same(checkpoint: Path, staged: Path) -> bool:
    """Whether these are the same files; a copy is known by the time at which its marker was written."""
    return saved_at_ns(checkpoint) == saved_at_ns(staged)


def saved_at_ns(checkpoint: Path) -> int:
    """When a complete checkpoint was marked; it tells two trainings of the same step apart."""
    return (checkpoint / COMPLETE).stat().st_mtime_ns


@contextmanager
def _refusals(checkpoint: Path, staging: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StoreError(
            f"{checkpoint} could not be staged for the store in {staging} ({error.strerror}): "
            f"{'the disk is full, free space there' if full else 'mend that'} and start the same command again; "
            "the checkpoint stays where it is and is archived then."
        ) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one process at a time; a process that is killed lets go of it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        # some network shares know no locks: then it is as good as it gets without them
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF):
                raise
        yield
    finally:
        os.close(handle)


def clear_unfinished(staging: Path) -> None:
    """Remove what a killed trainer or uploader left half linked or half removed."""
    with locked(staging):
        for path in staging.glob(".checkpoint-*"):
            rmtree(path, ignore_errors=True)


def staged_checkpoints(staging: Path) -> list[Staged]:
    """All checkpoints in staging, complete or not, in order."""
    found = ((path, NAME.fullmatch(path.name)) for path in staging.glob("checkpoint-*") if path.is_dir())
    return sorted(Staged(int(name[1]), int(name[2] or 1), path) for path, name in found if name)


def drop_resume_states(staged: Path) -> None:
    """Take out of a staged checkpoint what only resuming needs; the trainer's own folder keeps it."""
    marker = staged / COMPLETE
    content = read_marker(staged)
    if not isinstance(content.get("files"), dict):
        raise ModelError(f"{marker} is damaged: move that checkpoint away, or write the file again.")
    dropped = {path for pattern in RESUME_ONLY for path in staged.glob(pattern)}
    files = [path for path in staged.rglob("*") if path.is_file() and not dropped.isdisjoint({path, *path.parents})]
    if not files:
        return
    saved_ns = saved_at_ns(staged)
    names = {path.relative_to(staged).as_posix() for path in files}
    kept = {name: size for name, size in content["files"].items() if name not in names}
    # a new file in place of the link: the trainer's marker must not change; a kill repeats the rest
    write_json(marker, {**content, "files": kept})
    os.utime(marker, ns=(saved_ns, saved_ns))
    for path in files:
        path.unlink()


def remove_staged(place: Path) -> None:
    """Take a checkpoint out of staging."""
    # renamed first: a kill between two removals must not leave a checkpoint that looks complete
    gone = place.with_name(f".{place.name}{ARCHIVED}")
    rmtree(gone, ignore_errors=True)
    place.rename(gone)
    rmtree(gone, ignore_errors=True)


def has_all_files(checkpoint: Path) -> bool:
    """Whether all files that a checkpoint's marker names are there with their sizes."""
    sizes = read_marker(checkpoint).get("files")
    return isinstance(sizes, dict) and all(
        is_below(name) and (checkpoint / name).is_file() and (checkpoint / name).stat().st_size == size
        for name, size in sizes.items()
    )


def read_marker(checkpoint: Path) -> dict[str, Any]:
    """What COMPLETE.json says of a checkpoint: its step, training and files; empty where it is lacking or damaged."""
    try:
        content = read_json(checkpoint / COMPLETE)
    except DataError:
        return {}
    return content if isinstance(content, dict) else {}
