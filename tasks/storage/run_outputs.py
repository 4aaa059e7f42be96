"""What a run made, besides its checkpoints, to the store."""

from pathlib import Path

from tasks.files import sha256_of
from tasks.records import CheckpointRef
from tasks.storage.checkpoints.paths import archive_checkpoint, checkpoint_prefix
from tasks.storage.folder_upload import Archived, archive_folder
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import join, sound_manifest
from tasks.storage.runs import Run


def archive_results(run: Run, sets: Path, checkpoint: CheckpointRef, store: ObjectStore) -> list[Archived]:
    """Copy sets, merged model, predictions, reports and log of a run to STORE/NAME, each folder's manifest last.

    The final checkpoint goes with them where training did not take it there: another run trained it.
    """
    last = checkpoint_prefix(run.store_name, checkpoint.step)
    places = {
        "data": sets,
        "merged": run.folder.merged,
        "predictions": run.folder.root / "predictions",
        "reports": run.folder.reports,
    }
    archived = [archive_folder(folder, store, join(run.store_name, name)) for name, folder in places.items()]
    if run.archives and sound_manifest(store, last) is None:
        archived.append(archive_checkpoint(checkpoint.path, store, run.store_name, checkpoint.step))
    _archive_log(run, store)
    return archived


def _archive_log(run: Run, store: ObjectStore) -> None:
    """Copy the log, where there is one; named after its content, as one that has grown is another file."""
    if not run.folder.log.is_file():
        return
    sha256 = sha256_of(run.folder.log)
    key = join(run.store_name, "logs", f"log-{sha256[:12]}.txt")
    if key not in store.sizes_below(join(run.store_name, "logs")):
        store.put_file(run.folder.log, key, sha256)
