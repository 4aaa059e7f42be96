"""Copy the results of a run to the store, and fetch a checkpoint back."""

from pathlib import Path

from tasks.errors import StoreError
from tasks.files import sha256_of
from tasks.manifests import content_digest
from tasks.paths import LOGS, MERGED, PREDICTIONS, REPORTS
from tasks.records import CheckpointRef
from tasks.storage.checkpoints.paths import archive_checkpoint, checkpoint_paths, checkpoint_prefix
from tasks.storage.folder_upload import Archived, archive_folder
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import join, pull_folder, sound_manifest
from tasks.storage.runs import Run


def archive_results(run: Run, sets: Path, checkpoint: CheckpointRef, store: ObjectStore) -> list[Archived]:
    """Copy sets, merged model, predictions, reports and log of a run to STORE/NAME, each folder's manifest last.

    The final checkpoint is copied too if training did not, because it was trained by another run.
    """
    last = checkpoint_prefix(run.store_name, checkpoint.step)
    folders = {
        "data": sets,
        MERGED: run.folder.merged,
        PREDICTIONS: run.folder.all_predictions,
        REPORTS: run.folder.reports,
    }
    archived = [archive_folder(folder, store, join(run.store_name, name)) for name, folder in folders.items()]
    if run.archives and sound_manifest(store, last) is None:
        archived.append(archive_checkpoint(checkpoint.path, store, run.store_name, checkpoint.step))
    _archive_log(run, store)
    return archived


def _archive_log(run: Run, store: ObjectStore) -> None:
    """Copy the log, if there is one, under a name with its digest: a longer log is another file."""
    if not run.folder.log.is_file():
        return
    sha256 = sha256_of(run.folder.log)
    key = join(run.store_name, LOGS, f"log-{sha256[:12]}.txt")
    if key not in store.sizes_below(join(run.store_name, LOGS)):
        store.put_file(run.folder.log, key, sha256)


def archive_merged(run: Run, merged: Path, store: ObjectStore) -> Archived:
    """Copy a merged model to STORE/NAME under its folder's name, its manifest last."""
    return archive_folder(merged, store, join(run.store_name, merged.name))


def fetch_checkpoint(run: Run, step: int, store: ObjectStore) -> CheckpointRef:
    """Download a run's archived checkpoint; the last one if its step was trained again. StoreError if it is missing."""
    found = [path for path in checkpoint_paths(store, run.store_name) if path.step == step]
    if not found:
        raise StoreError(
            f"{join(store.uri, run.store_name)} has no checkpoint of step {step}: "
            "`rsvlm checkpoints list` shows which there are."
        )
    folder = run.folder.fetched / Path(found[-1].folder).name
    manifest = pull_folder(store, found[-1].folder, folder)
    return CheckpointRef(path=folder, sha256=content_digest(manifest), run=run.name, step=step)
