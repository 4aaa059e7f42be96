"""The runs that the page shows: looked up by name, never by a path that a visitor sends."""

import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from tasks.data.image_folders import located_image
from tasks.errors import DataError
from tasks.files import read_json_object
from tasks.model.images import read_image
from tasks.paths import (
    FILTERED_TEST_SET,
    FINAL,
    LEADERBOARD_PAGE,
    STARTED,
    DataFolder,
    RunFolder,
    Workspace,
    manifest_path_of,
)
from tasks.runs.index import RunSummary, Settings, list_runs, read_settings

# a page and its updates ask for the same list
FRESH_S = 3.0
SIDE_PX = 480
# key of the test set in the inputs of predictions
TEST_SET_INPUT = "test set"


class Report(NamedTuple):
    """The report of a run on one of its models."""

    run: RunSummary
    model: str

    @property
    def folder(self) -> Path:
        """The report's folder."""
        return self.run.paths.report(self.model)

    @property
    def name(self) -> str:
        """The run's name, and the model's unless it is the final one: how addresses name a report."""
        return self.run.name if self.model == FINAL else f"{self.run.name}/{self.model}"


class Catalog:
    """The runs, reports, sweeps and images below one folder. Raises DataError for a folder that does not exist."""

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic):
        self.root, self._clock, self._lock = root.absolute(), clock, Lock()
        # one image at a time: a large one takes hundreds of megabytes
        self._decoding = Lock()
        self._runs: list[RunSummary] = []
        self._read_at = float("-inf")

    def runs(self) -> list[RunSummary]:
        """All runs, the last started first, as they were at most three seconds ago."""
        with self._lock:
            if self._clock() - self._read_at > FRESH_S:
                self._runs, self._read_at = list_runs(self.root), self._clock()
            return self._runs

    def run(self, name: str) -> RunSummary:
        """The run of that name; raises DataError if there is none."""
        found = next((run for run in self.runs() if run.name == name), None)
        if found is None:
            raise DataError(f"There is no run {name!r} here: choose one on the first page.")
        return found

    def report(self, name: str) -> Report:
        """A report by RUN or RUN/MODEL; RUN alone means the final model. Raises DataError if there is none."""
        of_run, _, model = name.partition("/")
        run, model = self.run(of_run), model or FINAL
        if model not in run.reports:
            known = (
                f"it has those of {', '.join(run.reports)}" if run.reports else f"it is {run.state} and has none yet"
            )
            raise DataError(f"The run {run.name} has no report of {model!r}: {known}.")
        return Report(run, model)

    def sweeps(self) -> list[str]:
        """The names of the workspace's sweeps that have a leaderboard."""
        return sorted(page.parent.name for page in (self.root / "sweeps").glob(f"*/{LEADERBOARD_PAGE}"))

    def leaderboard(self, sweep: str) -> Path:
        """The page of a sweep; raises DataError if there is none."""
        if sweep not in self.sweeps():
            raise DataError(f"There is no sweep {sweep!r} here: choose one on the first page.")
        return self.root / "sweeps" / sweep / LEADERBOARD_PAGE

    def thumbnail(self, report: Report, image: str) -> bytes:
        """An image of a report's test set as a JPEG of at most 480 pixels; raises DataError if it is not found."""
        path = self._image_file(report, image)
        with self._decoding:
            found = read_image(path)
            found.thumbnail((SIDE_PX, SIDE_PX))
        file = io.BytesIO()
        found.save(file, "JPEG", quality=80)
        return file.getvalue()

    def _image_file(self, report: Report, image: str) -> Path:
        settings = read_settings(report.run.paths)
        root = self._data_root(report, settings)
        if root is None:
            raise DataError(f"The images of {report.run.name} are not on this machine.")
        return located_image(DataFolder(root).images, _image_root(settings), image)

    def _data_root(self, report: Report, settings: Settings) -> Path | None:
        """The data folder of a run; of drawn data, the folder whose test set is that of the report."""
        given = settings.get("data", {}).get("root")
        if given:
            return Path(str(given))
        sha256 = _answered_set(report)
        drawn = Workspace(self.root).sample_data
        return next((root for root in drawn.parent.glob(f"{drawn.name}*") if _has_test_set(root, sha256)), None)


def _answered_set(report: Report) -> object:
    """The SHA-256 of the test set that the model answered; None if its predictions are not there."""
    inputs = read_json_object(report.run.paths.predictions(report.model) / STARTED).get("inputs")
    return inputs.get(TEST_SET_INPUT) if isinstance(inputs, dict) else None


def _has_test_set(root: Path, sha256: object) -> bool:
    manifest = read_json_object(manifest_path_of(DataFolder(root).sets / FILTERED_TEST_SET))
    return sha256 is not None and manifest.get("sha256") == sha256


def _image_root(settings: Settings) -> Mapping[str, Path]:
    given = settings.get("data", {}).get("image_root")
    return {str(source): Path(str(folder)) for source, folder in given.items()} if isinstance(given, dict) else {}


def leaves_of(settings: Settings) -> dict[str, object]:
    """Settings by dotted path, such as training.lora_r."""
    return {f"{section}.{name}": value for section, values in settings.items() for name, value in values.items()}


def different_settings(a: RunFolder, b: RunFolder) -> list[tuple[str, object, object]]:
    """The settings that differ between two runs, with the value of each."""
    of_a, of_b = leaves_of(read_settings(a)), leaves_of(read_settings(b))
    names = dict.fromkeys((*of_a, *of_b))
    return [(name, of_a.get(name), of_b.get(name)) for name in names if of_a.get(name) != of_b.get(name)]
