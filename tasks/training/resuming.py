"""The checkpoint that a training resumes from: the newest complete one of the same job, on disk or in the store."""

from collections.abc import Iterable
from pathlib import Path, PurePath

from tasks.errors import OccupiedError, TrainingError
from tasks.json_text import decode_json
from tasks.manifests import read_manifest
from tasks.paths import COMPLETE, FINAL, MANIFEST, checkpoint_name
from tasks.records import Manifest
from tasks.settings import TrainingConfig
from tasks.storage.checkpoints.paths import CheckpointPath, checkpoints_of
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import join, missing_files, pull_folder, sound_manifest
from tasks.training.job import TrainingJob
from tasks.training.saved_checkpoints import complete_checkpoints, remove_incomplete, step_of, training_fingerprint
from tasks.training.settings_record import settings_message, settings_of_job

OPTIMIZER_FILES = ("optimizer.pt", "scheduler.pt")
# DeepSpeed writes one per process.
ZERO_SHARDS = "global_step*/*_optim_states.pt"
STATES = (OPTIMIZER_FILES[0], ZERO_SHARDS)


def newest_checkpoint(job: TrainingJob) -> Path | None:
    """The checkpoint that a job resumes from; None if there is none or it does not resume.

    Raises OccupiedError if its folder holds checkpoints of other data or settings, and TrainingError if the newest one
    cannot be resumed with the current number of processes.
    """
    found = complete_checkpoints(job.out) if job.resume else []
    if not found:
        return None
    require_own(job)
    _require_state(found[-1], job.training)
    return found[-1]


def require_own(job: TrainingJob) -> None:
    """Raise OccupiedError if a job's folder holds the results of another training."""
    trained = {checkpoint: training_fingerprint(checkpoint) for checkpoint in complete_checkpoints(job.out)[-1:]}
    if finished := read_manifest(job.out / FINAL):
        trained[job.out / FINAL] = finished.fingerprint
    for folder, fingerprint in trained.items():
        if not job.matches(fingerprint):
            raise OccupiedError(settings_message(folder, settings_of_job(job)))


def _require_state(checkpoint: Path, config: TrainingConfig) -> None:
    """Raise TrainingError unless a checkpoint's optimizer states fit the current number of processes."""
    if config.deepspeed is None:
        if lacking := [name for name in OPTIMIZER_FILES if not (checkpoint / name).is_file()]:
            raise TrainingError(f"{checkpoint} lacks {lacking[0]} and cannot be resumed: remove it.")
        return
    shards = len(list(checkpoint.glob(ZERO_SHARDS)))
    if shards != config.world_size:
        raise TrainingError(
            f"{checkpoint} holds DeepSpeed's optimizer states of {shards} processes, which {config.world_size} cannot "
            f"load: resume with {shards} processes in all (nnodes x nproc_per_node), or choose another --name to "
            "train from the start."
        )


def fetch_newer(job: TrainingJob, store: ObjectStore, runs: Iterable[str]) -> Path | None:
    """Download the newest complete checkpoint of this job from the store, unless there is one as new on disk.

    `runs` are the names under which the store may hold it. Raises OccupiedError if the job's folder holds another
    training, StoreError if the download fails, and TrainingError if the only checkpoints left are in the store and
    lack the optimizer state.
    """
    finished = read_manifest(job.out / FINAL)
    if finished is not None and job.matches(finished.fingerprint):
        return None
    require_own(job)
    remove_incomplete(job.out)
    on_disk = max((step_of(path) for path in complete_checkpoints(job.out)), default=-1)
    stored = [path for run in dict.fromkeys(runs) for path in checkpoints_of(store, run)]
    newer = sorted((path for path in stored if path.step > on_disk), key=lambda path: path.step, reverse=True)
    own = [(place, manifest) for place in newer if (manifest := _manifest_of(job, store, place))]
    for place, manifest in own:
        if any(PurePath(name).match(state) for name in manifest.files for state in STATES):
            target = job.out / checkpoint_name(place.step)
            pull_folder(store, place.folder, target)
            # on disk only COMPLETE.json marks a checkpoint; `final` gets its own manifest
            (target / MANIFEST).unlink()
            return target
    if own and on_disk < 0:
        raise TrainingError(
            f"{join(store.uri, own[0][0].folder)} was archived without the optimizer state "
            "(archive.optimizer_states): it can be used as a model, but not resumed. Choose another --name to train "
            "from the start."
        )
    return None


def _manifest_of(job: TrainingJob, store: ObjectStore, place: CheckpointPath) -> Manifest | None:
    """The manifest of a stored checkpoint if it is complete and belongs to this job."""
    manifest = sound_manifest(store, place.folder)
    marker = store.read_text(join(place.folder, COMPLETE))
    if manifest is None or marker is None or missing_files(store, place.folder, manifest):
        return None
    try:
        found = decode_json(marker)
    except ValueError:
        return None
    return manifest if isinstance(found, dict) and job.matches(found.get("training")) else None
