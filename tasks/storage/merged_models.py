"""A run's checkpoint from the store, and the model that was merged from it back."""

from pathlib import Path

from tasks.errors import StoreError
from tasks.manifests import content_digest
from tasks.records import CheckpointRef
from tasks.storage.checkpoints.paths import checkpoint_paths
from tasks.storage.folder_upload import Archived, archive_folder
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import join, pull_folder
from tasks.storage.runs import Run


def fetch_checkpoint(run: Run, step: int, store: ObjectStore) -> CheckpointRef:
    """Get a run's archived checkpoint; of a step that was trained again, the last. StoreError when there is none."""
    found = [place for place in checkpoint_paths(store, run.store_name) if place.step == step]
    if not found:
        raise StoreError(
            f"{join(store.uri, run.store_name)} holds no checkpoint of step {step}: "
            "`rsvlm checkpoints list` shows which there are."
        )
    folder = run.folder.root / "fetched" / Path(found[-1].folder).name
    manifest = pull_folder(store, found[-1].folder, folder)
    return CheckpointRef(path=folder, sha256=content_digest(manifest), run=run.name, step=step)


def archive_merged(run: Run, merged: Path, store: ObjectStore) -> Archived:
    """Copy a merged model to STORE/NAME under its folder's name, its manifest last."""
    return archive_folder(merged, store, join(run.store_name, merged.name))
