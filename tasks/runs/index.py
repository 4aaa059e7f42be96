"""All runs of a workspace or a store, read from their files alone: state, settings, scores, folder, size.

Folders that are not runs are left out; what a run has not written yet, or what is damaged, is None or empty.
"""

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal

from tasks.errors import DataError
from tasks.evaluation.drawn_data import DRAWN
from tasks.manifests import read_manifest
from tasks.paths import BASE, FINAL, METRICS, RunFolder, Workspace
from tasks.records import Value
from tasks.runs.scores import RunScore, read_scores, verdict_of_scores
from tasks.storage.outcome import Outcome, read_outcome
from tasks.storage.owner import owner_state
from tasks.yaml_text import parse_yaml

State = Literal["complete", "running", "failed", "interrupted"]
Settings = Mapping[str, Mapping[str, object]]
MOST_CACHED = 1000


class RunSummary(Value):
    """One run, for a table. `data` is the data folder, or says that the data is drawn; `base` the base model.

    `started` is when the run was last started, `changed` when its results or its log last changed, both in UTC.
    `scores` are those of the final model by source, `reports` the models with a report, `message` why a run failed.
    """

    name: str
    folder: Path
    state: State
    message: str | None
    started: datetime
    changed: datetime
    data: str | None
    base: str | None
    scores: dict[str, RunScore]
    verdict: str | None
    reports: tuple[str, ...]
    size_bytes: int

    @property
    def paths(self) -> RunFolder:
        """The files of the run."""
        return RunFolder(self.folder)


def runs_folder(root: Path) -> Path:
    """The folder of the runs: WORKSPACE/runs of a workspace; a folder of runs and a store are such a folder.

    Raises DataError if there is no such folder.
    """
    runs = Workspace(root).runs
    found = runs if runs.is_dir() else root
    if not found.is_dir():
        raise DataError(f"{root} is not a folder: give a workspace, which has a folder runs, or a store's folder.")
    return found


def list_runs(root: Path) -> list[RunSummary]:
    """All runs of a workspace or of a store's folder, the last started first; raises DataError as runs_folder does."""
    found = [run for folder in sorted(runs_folder(root).iterdir()) if (run := read_run(folder))]
    return sorted(found, key=lambda run: run.started, reverse=True)


def read_run(folder: Path) -> RunSummary | None:
    """The run in this folder; None if it is not the folder of a run."""
    paths = RunFolder(folder.absolute())
    started = _modified(paths.experiment)
    # a name with control characters or bytes that are no text is not of a run, and no table or address can hold it
    if started is None or not folder.name.isprintable():
        return None
    settings = read_settings(paths)
    owner, outcome, reports = owner_state(paths), read_outcome(paths), report_names(paths)
    scores = read_scores(paths)
    return RunSummary(
        name=folder.name,
        folder=paths.root,
        state=_state(owner, outcome, reports),
        message=outcome.message if outcome else None,
        started=started,
        changed=max([started, *filter(None, map(_modified, _written_last(paths)))]),
        data=_data_of(settings),
        base=_text(settings, "model", "base"),
        scores=scores,
        verdict=verdict_of_scores(scores),
        reports=reports,
        size_bytes=size_of(paths.root),
    )


def state_of(paths: RunFolder) -> State:
    """The state of a run, as far as its files tell; a run of a store is complete if its final model has a report."""
    # the owner first: it writes the outcome before it leaves
    return _state(owner_state(paths), read_outcome(paths), report_names(paths))


def _state(owner: Literal["alive", "dead"] | None, outcome: Outcome | None, reports: Collection[str]) -> State:
    if owner is not None:
        return "running" if owner == "alive" else "interrupted"
    if outcome:
        return outcome.state
    # of an earlier version, or fetched from a store, where nobody works
    return "complete" if FINAL in reports else "interrupted"


def read_settings(paths: RunFolder) -> Settings:
    """The settings in experiment.yaml by section, of any version; empty if the file is damaged."""
    try:
        status = paths.experiment.stat()
        return _parse_settings(paths.experiment, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError):
        return {}


@lru_cache(MOST_CACHED)
def _parse_settings(path: Path, _mtime_ns: int, _size: int) -> Settings:
    """The settings in a file, read once while it is unchanged: parsing takes most of the time of a list."""
    found = parse_yaml(path.read_text(encoding="utf-8"))
    sections = found.items() if isinstance(found, dict) else ()
    return {str(name): section for name, section in sections if isinstance(section, dict)}


def report_names(paths: RunFolder) -> tuple[str, ...]:
    """The models of a run with a complete report: base, final, then the others by name."""
    known = [BASE, FINAL]
    others = sorted(path.name for path in _folders_in(paths.reports) if path.name not in known)
    return tuple(name for name in (*known, *others) if _has_report(paths.report(name)))


def _has_report(folder: Path) -> bool:
    try:
        return (folder / METRICS).is_file() and read_manifest(folder) is not None
    except OSError:
        return False


def _folders_in(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []


def size_of(folder: Path) -> int:
    """Size of all files of a folder in bytes; a file with several links counts once."""
    return sum(_sizes(folder).values())


def _sizes(folder: Path) -> dict[tuple[int, int], int]:
    """Sizes of the files of a folder by device and number; what vanishes meanwhile is left out."""
    found: dict[tuple[int, int], int] = {}
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    found |= _sizes(Path(entry))
                else:
                    status = entry.stat(follow_symlinks=False)
                    found[status.st_dev, status.st_ino] = status.st_size
    return found


def _written_last(paths: RunFolder) -> tuple[Path, ...]:
    return paths.log, paths.outcome, paths.comparison, paths.report(FINAL) / METRICS


def _modified(path: Path) -> datetime | None:
    """When a file was last written, in UTC; None if there is no such file."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.is_file() else None
    except OSError:
        return None


def _data_of(settings: Settings) -> str | None:
    """The data folder; drawn data if none is set, None if the settings are not readable."""
    return _text(settings, "data", "root") or (DRAWN if "data" in settings else None)


def _text(settings: Settings, section: str, name: str) -> str | None:
    value = settings.get(section, {}).get(name)
    return None if value is None else str(value)
