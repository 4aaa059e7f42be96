"""What a run made, besides its checkpoints, to the store."""

from pathlib import Path

from tasks.records import CheckpointRef
from tasks.storage.archiving import Archived, archive_folder
from tasks.storage.remote_folders import join, read_remote_manifest
from tasks.storage.runs import Run
from tasks.storage.staging import checkpoint_prefix


def archive_results(run: Run, sets: Path, checkpoint: CheckpointRef) -> list[Archived]:
    """Copy sets, merged model, predictions and reports of a run to STORE/NAME, each with its manifest last.

    The final checkpoint goes with them where training did not take it there: another run trained it.
    """
    store = run.store()
    last = checkpoint_prefix(run.store_name, checkpoint.step)
    places = {
        "data": sets,
        "merged": run.folder.merged,
        "predictions": run.folder.root / "predictions",
        "reports": run.folder.reports,
    }
    archived = [archive_folder(folder, store, join(run.store_name, name)) for name, folder in places.items()]
    if run.archives and read_remote_manifest(store, last) is None:
        archived.append(archive_folder(checkpoint.path, store, last))
    return archived
