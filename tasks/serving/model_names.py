"""What models are called on the page, and the run that a model or adapter directory is in."""

from pathlib import Path

from tasks.files import read_json_object
from tasks.paths import EXPERIMENT, ORIGIN

SNAPSHOTS, HUB_PREFIX = "snapshots", "models--"


def model_name(folder: Path) -> str:
    """A model directory's name: on the Hub for one of its cache, with the run's for one of a run."""
    folder = folder.resolve()
    parts = folder.parts
    if len(parts) > 2 and parts[-2] == SNAPSHOTS and parts[-3].startswith(HUB_PREFIX):
        return parts[-3].removeprefix(HUB_PREFIX).replace("--", "/", 1)
    run = run_of(folder)
    return f"{run.name}, {folder.name}" if run else folder.name


def adapter_name(folder: Path) -> str:
    """An adapter directory's name, with that of the run that trained it."""
    folder = folder.resolve()
    run = read_json_object(folder / ORIGIN).get("run")
    return f"{run}, {folder.name}" if isinstance(run, str) else folder.name


def run_of(folder: Path) -> Path | None:
    """The folder of the run, in a workspace or a store, that a model or checkpoint is in; None if there is none."""
    return next((above for above in folder.resolve().parents[:2] if (above / EXPERIMENT).is_file()), None)
