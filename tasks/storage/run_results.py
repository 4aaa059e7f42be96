"""What a run made, besides its checkpoints, to the store."""

from pathlib import Path

from tasks.records import CheckpointRef
from tasks.storage.archiving import Archived, archive_folder
from tasks.storage.object_store import ObjectStore
from tasks.storage.places import archive_checkpoint, checkpoint_prefix
from tasks.storage.remote_folders import join, read_remote_manifest
from tasks.storage.runs import Run


def archive_results(run: Run, sets: Path, checkpoint: CheckpointRef, store: ObjectStore) -> list[Archived]:
    """Copy sets, merged model, predictions and reports of a run to STORE/NAME, each with its manifest last.

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
    if run.archives and read_remote_manifest(store, last) is None:
        archived.append(archive_checkpoint(checkpoint.path, store, run.store_name, checkpoint.step))
    return archived
