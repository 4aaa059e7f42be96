"""Staging: complete checkpoints that wait for the store, safe from the trainer's rotation by hard links."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

from tasks.errors import ModelError, StoreError
from tasks.files import link_or_copy
from tasks.paths import COMPLETE
from tasks.storage.archiving import Archived, archive_folder
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import join

UNFINISHED, ARCHIVED = ".part", ".archived"


@dataclass
class SweepResult:
    """What a sweep found: steps archived, steps without their marker, and errors by step."""

    archived: dict[int, Archived] = field(default_factory=dict)
    incomplete: list[int] = field(default_factory=list)
    failed: dict[int, StoreError] = field(default_factory=dict)


def stage_checkpoint(checkpoint: Path, staging: Path, step: int | None = None) -> Path:
    """Hard-link a complete checkpoint into `staging` as checkpoint-STEP and return its place there.

    `step` is needed where the folder's name does not tell it (`final`). Raises ModelError when the
    checkpoint lacks its marker. Only file names are written, so the trainer is held for milliseconds.
    """
    if not (checkpoint / COMPLETE).is_file():
        raise ModelError(f"{checkpoint} has no {COMPLETE}: it was not saved to its end; use an older checkpoint.")
    name = checkpoint.name if step is None else f"checkpoint-{step}"
    staged, part = staging / name, staging / f".{name}{UNFINISHED}"
    if (staged / COMPLETE).is_file():
        return staged
    rmtree(part, ignore_errors=True)
    for path in sorted(checkpoint.rglob("*")):
        if path.is_file():
            link_or_copy(path, part / path.relative_to(checkpoint))
    part.rename(staged)
    return staged


def clear_unfinished(staging: Path) -> None:
    """Remove what a killed trainer or uploader left half linked or half removed; none may be at work."""
    for path in staging.glob(".checkpoint-*"):
        rmtree(path, ignore_errors=True)


def staged_steps(staging: Path) -> list[int]:
    """Steps of all checkpoints in staging, complete or not, in order."""
    names = (path.name.removeprefix("checkpoint-") for path in staging.glob("checkpoint-*") if path.is_dir())
    return sorted(int(name) for name in names if name.isdecimal())


def sweep_staging(
    staging: Path, store: ObjectStore, run: str, on_archived: Callable[[int, Archived], None]
) -> SweepResult:
    """Copy every complete checkpoint in staging to STORE/RUN/checkpoints and remove it from staging then.

    An incomplete one is left alone and reported; an error of one does not keep the others back.
    `on_archived(step, archived)` is called before a checkpoint leaves staging, so a kill can repeat it.
    """
    result = SweepResult()
    for step in staged_steps(staging):
        place = staging / f"checkpoint-{step}"
        if not (place / COMPLETE).is_file():
            result.incomplete.append(step)
            continue
        try:
            archived = archive_folder(place, store, checkpoint_prefix(run, step))
        except StoreError as error:
            result.failed[step] = error
            continue
        on_archived(step, archived)
        _remove(place)
        result.archived[step] = archived
    return result


def archive_staged(staging: Path, store: ObjectStore, run: str) -> dict[int, Archived]:
    """Sweep once and return what was archived, by step; StoreError when any failed, after all were tried."""
    result = sweep_staging(staging, store, run, lambda step, archived: None)
    if result.failed:
        told = "; ".join(f"checkpoint-{step}: {error}" for step, error in result.failed.items())
        raise StoreError(f"Still only in {staging}: {told}")
    return result.archived


def checkpoint_prefix(run: str, step: int) -> str:
    """Where a checkpoint stands in the store."""
    return join(run, "checkpoints", f"checkpoint-{step}")


def _remove(place: Path) -> None:
    # renamed first: a kill between two removals must not leave a checkpoint that looks complete
    gone = place.with_name(f".{place.name}{ARCHIVED}")
    rmtree(gone, ignore_errors=True)
    place.rename(gone)
    rmtree(gone)
