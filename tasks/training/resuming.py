"""From which checkpoint a training goes on: the newest whole one of the same training, here or in the store."""

from collections.abc import Iterable
from pathlib import Path, PurePath

from tasks.errors import OccupiedError, TrainingError
from tasks.json_text import decode_json
from tasks.manifests import read_manifest
from tasks.paths import COMPLETE, FINAL, MANIFEST
from tasks.records import Manifest
from tasks.settings import TrainingConfig
from tasks.storage.checkpoints.paths import CheckpointPath, checkpoint_paths
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import join, missing_files, pull_folder, sound_manifest
from tasks.training.checkpoints import drop_unfinished, step_of, training_of, whole_checkpoints
from tasks.training.job import TrainingOrder
from tasks.training.settings_record import refusal, settings_of_order

OPTIMIZER_FILES = ("optimizer.pt", "scheduler.pt")
# DeepSpeed writes one a process.
ZERO_SHARDS = "global_step*/*_optim_states.pt"
STATES = (OPTIMIZER_FILES[0], ZERO_SHARDS)


def newest_checkpoint(order: TrainingOrder) -> Path | None:
    """The checkpoint that an order goes on from; None when it has made none or is not to resume.

    Raises OccupiedError when its folder holds checkpoints of other data or settings, and TrainingError when the
    newest cannot be gone on from with as many processes.
    """
    found = whole_checkpoints(order.out) if order.resume else []
    if not found:
        return None
    require_own(order)
    _require_state(found[-1], order.training)
    return found[-1]


def require_own(order: TrainingOrder) -> None:
    """Raise OccupiedError where an order's folder holds what another training made."""
    trained = {checkpoint: training_of(checkpoint) for checkpoint in whole_checkpoints(order.out)[-1:]}
    if finished := read_manifest(order.out / FINAL):
        trained[order.out / FINAL] = finished.fingerprint
    for folder, fingerprint in trained.items():
        if not order.is_of(fingerprint):
            raise OccupiedError(refusal(folder, settings_of_order(order)))


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

    `runs` are the names under which the store may hold it. Raises OccupiedError where another training stands here,
    StoreError when it cannot be had, and TrainingError when all that is left of the training is in the store and lacks
    the optimiser's state.
    """
    finished = read_manifest(order.out / FINAL)
    if finished is not None and order.is_of(finished.fingerprint):
        return None
    require_own(order)
    drop_unfinished(order.out)
    here = max((step_of(path) for path in whole_checkpoints(order.out)), default=-1)
    places = [place for run in dict.fromkeys(runs) for place in checkpoint_paths(store, join(run, "checkpoints"))]
    newer = sorted((place for place in places if place.step > here), key=lambda place: place.step, reverse=True)
    own = [(place, manifest) for place in newer if (manifest := _manifest_of(order, store, place))]
    for place, manifest in own:
        if any(PurePath(name).match(state) for name in manifest.files for state in STATES):
            target = order.out / f"checkpoint-{place.step}"
            pull_folder(store, place.folder, target)
            # here a checkpoint is marked by COMPLETE.json alone, and `final` gets a manifest of its own
            (target / MANIFEST).unlink()
            return target
    if own and here < 0:
        raise TrainingError(
            f"{join(store.uri, own[0][0].folder)} was archived without the optimiser's state "
            "(archive.optimizer_states): it can be used as a model, but not gone on from. Choose another --name to "
            "train anew."
        )
    return None


def _manifest_of(order: TrainingOrder, store: ObjectStore, place: CheckpointPath) -> Manifest | None:
    """The manifest of a stored checkpoint when it is whole and of this training."""
    manifest = sound_manifest(store, place.folder)
    marker = store.read_text(join(place.folder, COMPLETE))
    if manifest is None or marker is None or missing_files(store, place.folder, manifest):
        return None
    try:
        found = decode_json(marker)
    except ValueError:
        return None
    return manifest if isinstance(found, dict) and order.is_of(found.get("training")) else None
