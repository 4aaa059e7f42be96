"""From which checkpoint a training goes on: the newest whole one of the same training, here or in the store."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tasks.errors import DataError, TrainingError
from tasks.paths import COMPLETE, MANIFEST
from tasks.settings import TrainingConfig
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import join, missing_files, pull_folder, read_remote_manifest
from tasks.training.checkpoints import drop_unfinished, step_of, training_of, whole_checkpoints
from tasks.training.order import TrainingOrder

OPTIMIZER_FILES = ("optimizer.pt", "scheduler.pt")
# DeepSpeed writes one a process.
ZERO_SHARDS = "global_step*/*_optim_states.pt"
STORED_CHECKPOINT = re.compile(rf"(?P<folder>.*/checkpoints/checkpoint-(?P<step>\d+))/{re.escape(MANIFEST)}")


def newest_checkpoint(order: TrainingOrder) -> Path | None:
    """The checkpoint that an order goes on from; None when it has made none or is not to resume.

    Raises DataError when its folder holds checkpoints of other data or settings, and TrainingError when the
    newest cannot be gone on from with as many processes.
    """
    found = whole_checkpoints(order.out) if order.resume else []
    if not found:
        return None
    if training_of(found[-1]) != order.fingerprint:
        raise DataError(
            f"{found[-1]} was trained with other data or settings: choose another --name, or give those settings again."
        )
    _require_state(found[-1], order.training)
    return found[-1]


def _require_state(checkpoint: Path, config: TrainingConfig) -> None:
    """Raise TrainingError unless a checkpoint's optimiser states fit the processes that there are now."""
    if config.deepspeed is None:
        if lacking := [name for name in OPTIMIZER_FILES if not (checkpoint / name).is_file()]:
            raise TrainingError(f"{checkpoint} lacks {lacking[0]}, without which it cannot be gone on from: remove it.")
        return
    shards = len(list(checkpoint.glob(ZERO_SHARDS)))
    if shards != config.world_size:
        raise TrainingError(
            f"{checkpoint} holds DeepSpeed's optimiser states of {shards} processes, which cannot be divided among "
            f"{config.world_size}: go on with {shards} processes in all (nnodes x nproc_per_node), or choose "
            "another --name to train anew."
        )


def fetch_newer(order: TrainingOrder, store: ObjectStore, runs: Iterable[str]) -> Path | None:
    """Get the newest whole checkpoint of this training from the store, where none here is as new.

    `runs` are the names under which the store may hold it. Raises StoreError when it cannot be had.
    """
    drop_unfinished(order.out)
    here = max((step_of(path) for path in whole_checkpoints(order.out)), default=-1)
    stored = [place for run in dict.fromkeys(runs) for place in _stored(store, run)]
    for step, folder in sorted(stored, reverse=True):
        if step > here and _is_of(order, store, folder):
            place = order.out / f"checkpoint-{step}"
            pull_folder(store, folder, place)
            # here a checkpoint is marked by COMPLETE.json alone, and `final` gets a manifest of its own
            (place / MANIFEST).unlink()
            return place
    return None


def _stored(store: ObjectStore, run: str) -> Iterator[tuple[int, str]]:
    """Step and folder of each checkpoint that a run has in the store."""
    for key in store.sizes_below(join(run, "checkpoints")):
        if match := STORED_CHECKPOINT.fullmatch(key):
            yield int(match["step"]), match["folder"]


def _is_of(order: TrainingOrder, store: ObjectStore, folder: str) -> bool:
    """Whether a stored checkpoint is whole and of this training."""
    manifest = read_remote_manifest(store, folder)
    marker = store.read_text(join(folder, COMPLETE))
    if manifest is None or marker is None or missing_files(store, folder, manifest):
        return False
    return bool(json.loads(marker).get("training") == order.fingerprint)
