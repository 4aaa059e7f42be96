"""What a run made, besides its checkpoints, to the store."""

from pathlib import Path

from tasks.storage.archiving import Archived, archive_folder
from tasks.storage.remote_folders import join
from tasks.storage.runs import Run


def archive_results(run: Run, sets: Path) -> list[Archived]:
    """Copy sets, merged model, predictions and reports of a run to STORE/NAME, each with its manifest last."""
    places = {
        "data": sets,
        "merged": run.folder.merged,
        "predictions": run.folder.root / "predictions",
        "reports": run.folder.reports,
    }
    store = run.store()
    return [archive_folder(folder, store, join(run.store_name, name)) for name, folder in places.items()]
