"""The runs of a store in a folder of this machine: settings, reports and loss curves, without weights and data."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tasks.errors import StoreError
from tasks.files import write_text
from tasks.paths import CHECKPOINTS, EXPERIMENT, REPORTS, TRAINER_STATE, parse_checkpoint_name
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import join, pull_folder
from tasks.storage.runs import RUN_NAME


def copy_runs(store: ObjectStore, out: Path) -> None:
    """Download what a page over all runs shows into OUT/NAME; incomplete or damaged reports are left out."""
    keys = list(store.sizes_below(""))
    for key in keys:
        name, _, rest = key.partition("/")
        if rest == EXPERIMENT and RUN_NAME.fullmatch(name):
            _copy_run(store, name, out / name, [other for other in keys if other.startswith(f"{name}/")])


def _copy_run(store: ObjectStore, name: str, out: Path, keys: Iterable[str]) -> None:
    states = [key for key in keys if _step_of(key) is not None]
    newest = max(states, key=lambda key: _step_of(key) or (0, 0), default=None)
    for key in (join(name, EXPERIMENT), newest):
        if key and (text := store.read_text(key)) is not None:
            write_text(out / key.removeprefix(f"{name}/"), text)
    with suppress(StoreError):
        pull_folder(store, join(name, REPORTS), out / REPORTS)


def _step_of(key: str) -> tuple[int, int] | None:
    """Step and number of the checkpoint whose trainer state has this key; None for any other key."""
    _run, *parts = key.split("/")
    if len(parts) != 3 or (parts[0], parts[2]) != (CHECKPOINTS, TRAINER_STATE):
        return None
    return parse_checkpoint_name(parts[1])
