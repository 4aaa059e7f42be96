"""Scores of a run's checkpoints one after the other, for the report's curves."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.evaluation.comparison import METRICS
from tasks.evaluation.protocol import protocol_differences
from tasks.files import read_json
from tasks.manifests import content_digest, verified_manifest
from tasks.records import ReportRef

CHECKPOINT = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True)
class Curve:
    """(name, scores) of the checkpoints in order of their steps; `left_out` were scored by other protocols."""

    points: tuple[tuple[str, dict[str, Any]], ...]
    left_out: tuple[str, ...]


def reports_of_checkpoints(reports: Path) -> list[ReportRef]:
    """The whole reports of checkpoints in a run's `reports` folder, in order of their steps."""
    folders = sorted(
        (folder for folder in reports.glob("checkpoint-*") if CHECKPOINT.fullmatch(folder.name)), key=_step
    )
    manifests = [(folder, verified_manifest(folder)) for folder in folders]
    return [
        ReportRef(path=folder, sha256=content_digest(manifest), model=folder.name)
        for folder, manifest in manifests
        if manifest
    ]


def _step(folder: Path) -> int:
    found = CHECKPOINT.fullmatch(folder.name)
    return int(found[1]) if found else 0


def read_curve(reports: Sequence[Path], protocol: dict[str, Any]) -> Curve:
    """The scores of these reports that were taken by `protocol`, on the same test set."""
    points, left_out = [], []
    for folder in sorted(reports, key=_step):
        metrics = read_json(folder / METRICS)
        if protocol_differences(protocol, metrics["protocol"]):
            left_out.append(folder.name)
        else:
            points.append((folder.name, metrics))
    return Curve(tuple(points), tuple(left_out))
