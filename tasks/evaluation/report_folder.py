"""Report folders: read one that is complete, and the scores of a run's checkpoints for the report's curves."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tasks.errors import DataError
from tasks.evaluation.protocol import protocol_differences
from tasks.evaluation.scores import Metrics, Protocol
from tasks.evaluation.tables import AnswerRow
from tasks.files import iterate_json_lines, read_json
from tasks.manifests import content_digest, verified_manifest
from tasks.paths import FINAL, METRICS, PER_ANSWER, checkpoint_folders, checkpoint_step
from tasks.records import ReportRef

# keys that every row of per_answer.jsonl must have
REQUIRED = {"record", "turn", "source", "image"}


@dataclass(frozen=True)
class ReportRows:
    """The rows of a per_answer.jsonl, read in each iteration: those of a million questions would fill the memory."""

    path: Path

    def __iter__(self) -> Iterator[AnswerRow]:
        for row in iterate_json_lines(self.path):
            if not (isinstance(row, dict) and row.keys() >= REQUIRED):
                raise DataError(f"{self.path.parent} is not a report of `rsvlm evaluate`: evaluate the answers again.")
            yield cast(AnswerRow, row)


@dataclass(frozen=True)
class ModelReport:
    """A report folder, without its page; its rows may be iterated several times."""

    path: Path
    name: str
    sha256: str
    metrics: Metrics
    rows: Iterable[AnswerRow]

    @property
    def protocol(self) -> Protocol:
        return self.metrics["protocol"]


def read_metrics(folder: Path) -> Metrics:
    """The metrics.json of a report folder; raises DataError if it is missing, damaged or has no protocol."""
    found = read_json(folder / METRICS)
    if not isinstance(found, dict) or not isinstance(found.get("protocol"), dict):
        raise DataError(f"{folder} is not a report of `rsvlm evaluate`: evaluate the answers again.")
    metrics: Metrics = found  # type: ignore[assignment]
    return metrics


def report_path(folder: Path) -> Path:
    """A report folder, or that of the final model in a run's `reports` folder."""
    return folder if (folder / METRICS).exists() else folder / FINAL


def read_report(folder: Path) -> ModelReport:
    """A complete report, or that of the final model in a run's `reports` folder; raises DataError."""
    path = report_path(folder)
    manifest = verified_manifest(path)
    if manifest is None:
        raise DataError(f"{folder} holds no complete report: give the folder that `rsvlm evaluate` wrote.")
    return ModelReport(
        path=path,
        name=path.resolve().name,
        sha256=content_digest(manifest),
        metrics=read_metrics(path),
        rows=ReportRows(path / PER_ANSWER),
    )


@dataclass(frozen=True)
class Curve:
    """(name, scores) of the checkpoints in order of their steps; `left_out` were scored under other protocols."""

    points: tuple[tuple[str, Metrics], ...]
    left_out: tuple[str, ...]


def reports_of_checkpoints(reports: Path) -> list[ReportRef]:
    """The complete reports of checkpoints in a run's `reports` folder, in order of their steps."""
    manifests = [(folder, verified_manifest(folder)) for _, folder in checkpoint_folders(reports)]
    return [
        ReportRef(path=folder, sha256=content_digest(manifest), model=folder.name)
        for folder, manifest in manifests
        if manifest
    ]


def read_curve(reports: Sequence[Path], protocol: Protocol) -> Curve:
    """The scores in these reports that follow `protocol`, on the same test set."""
    points, left_out = [], []
    for folder in sorted(reports, key=lambda report: checkpoint_step(report.name) or 0):
        metrics = read_metrics(folder)
        if protocol_differences(protocol, metrics["protocol"]):
            left_out.append(folder.name)
        else:
            points.append((folder.name, metrics))
    return Curve(tuple(points), tuple(left_out))
