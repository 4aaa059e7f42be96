"""Two reports of one test set, compared image by image: difference, interval, p-value and one verdict."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.errors import DataError, UserError
from tasks.evaluation.metrics.bootstrap import (
    bootstrap_scores,
    holm,
    images_needed,
    percentile_interval,
    permutation_p_value,
)
from tasks.evaluation.protocol import protocol_differences
from tasks.evaluation.tables import Row
from tasks.files import read_json, read_json_lines, write_json
from tasks.manifests import content_digest, verified_manifest
from tasks.paths import FINAL

METRICS, PER_ANSWER, SCORES, PAGE = "metrics.json", "per_answer.jsonl", "scores.jsonl", "report.html"
DRAWS = 2000
SIGNIFICANT = 0.05
RIGHT = "right"
# what a row cannot do without
NEEDED = {"record", "turn", "source", "image"}
# METEOR and BLEU are no means over images: a mean of their image scores would be another number
COMPARED = ("CIDEr", "ROUGE-L", RIGHT)


@dataclass(frozen=True)
class Report:
    """One report as it stands on the disk."""

    name: str
    sha256: str
    protocol: dict[str, Any]
    rows: list[Row]


def read_report(folder: Path) -> Report:
    """A finished report, or the one of the final model in a run's `reports` folder; raises DataError."""
    place = folder if (folder / METRICS).exists() else folder / FINAL
    manifest = verified_manifest(place)
    if manifest is None:
        raise DataError(f"{folder} holds no whole report: give the folder that `rsvlm evaluate` wrote.")
    metrics, rows = read_json(place / METRICS), read_json_lines(place / PER_ANSWER)
    protocol = metrics.get("protocol") if isinstance(metrics, dict) else None
    if not isinstance(protocol, dict) or not all(isinstance(row, dict) and row.keys() >= NEEDED for row in rows):
        raise DataError(f"{place} is no report as `rsvlm evaluate` writes it: evaluate the answers again.")
    return Report(place.resolve().name, content_digest(manifest), protocol, rows)


def compare(report_a: Path, report_b: Path, out: Path | None) -> dict[str, Any]:
    """How much better B is than A, by source and metric, and written to `out` where that is given.

    Per metric: a, b, difference (b - a), its 95 % bootstrap interval over images (the same images drawn for both),
    a two-sided p-value (signs of the images' differences permuted), the verdict on B (better, worse or tie), and
    how many images a difference of this size would have needed for a verdict.
    Raises UserError for reports of different test sets or protocols, and where `out` holds another comparison.
    """
    a, b = read_report(report_a), read_report(report_b)
    _require_same_protocol(a, b)
    result = {
        "version": 1,
        "a": {"model": a.name, "sha256": a.sha256},
        "b": {"model": b.name, "sha256": b.sha256},
        "protocol": b.protocol,
        "draws": DRAWS,
        **compare_rows(a.rows, b.rows, b.protocol["shuffling_seed"]),
    }
    if out is not None:
        _write_once(out, result)
    return result


def compare_several(report_a: Path, others: Sequence[Path], out: Path | None) -> dict[str, Any]:
    """Several reports, each compared with A: a list `comparisons` in their order, as `compare` gives them.

    By source and metric the p-values of all of them are raised by Holm's correction (`p_value_holm`), and the
    verdicts go by those: of twenty equal models one would be called better otherwise.
    """
    found = [compare(report_a, other, None) for other in others]
    for task in ("captioning", "vqa"):
        for source, metrics in found[0][task].items():
            for metric in (name for name, value in metrics.items() if isinstance(value, dict)):
                _correct([each[task][source][metric] for each in found])
    result = {"version": 1, "a": found[0]["a"], "correction": "Holm", "comparisons": found}
    if out is not None:
        _write_once(out, result)
    return result


def _correct(family: Sequence[dict[str, Any]]) -> None:
    for each, raised in zip(family, holm([one["p_value"] for one in family]), strict=True):
        each["p_value_holm"] = raised
        each["verdict"] = verdict_of(each["ci95"], raised)


def _require_same_protocol(a: Report, b: Report) -> None:
    different = protocol_differences(a.protocol, b.protocol)
    if "test_set" in different:
        raise UserError(
            f"The reports {a.name} and {b.name} are of different test sets: evaluate both models on the same one."
        )
    if different:
        raise UserError(
            f"The reports {a.name} and {b.name} were scored by different protocols ({', '.join(different)} differ): "
            "answer and evaluate both in the same way."
        )


def _write_once(out: Path, result: dict[str, Any]) -> None:
    if out.exists() and read_json(out) != result:
        raise UserError(f"{out} already holds something else: give another --out, or move it away.")
    write_json(out, result)


def compare_rows(a: Iterable[Row], b: Iterable[Row], seed: int) -> dict[str, Any]:
    """The comparison of two models' rows of per_answer.jsonl, of the same test set."""
    captioning: dict[str, dict[str, Any]] = defaultdict(dict)
    vqa = {}
    for (source, value), statistics in _paired(a, b).items():
        if value == RIGHT:
            questions = int(statistics[:, 2].sum())
            vqa[source] = {"images": len(statistics), "questions": questions, "accuracy": _compared(statistics, seed)}
        else:
            captioning[source]["images"] = len(statistics)
            captioning[source][value] = _compared(statistics, seed)
    return {"captioning": dict(captioning), "vqa": vqa}


def _paired(a: Iterable[Row], b: Iterable[Row]) -> dict[tuple[str, str], "np.ndarray"]:
    """By source and what is compared: sums of a, of b, and how many values, of each image; only what both answered."""
    of_a = {(row["record"], row["turn"]): [row.get(value) for value in COMPARED] for row in a}
    sums: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0, 0.0]))
    for row in b:
        for value, one in zip(COMPARED, of_a.get((row["record"], row["turn"]), ()), strict=False):
            if one is not None and row.get(value) is not None:
                of_image = sums[row["source"], value][row["image"]]
                for place, amount in enumerate((one, row[value], 1)):
                    of_image[place] += amount
    return {key: np.array([images[image] for image in sorted(images)]) for key, images in sorted(sums.items())}


def _compared(statistics: "np.ndarray", seed: int) -> dict[str, Any]:
    of_a, of_b, count = statistics.sum(axis=0)
    drawn = bootstrap_scores(statistics, lambda sums: (sums[:, 1] - sums[:, 0]) / sums[:, 2], DRAWS, seed)
    interval = percentile_interval(drawn)
    p_value = permutation_p_value(statistics[:, 1] - statistics[:, 0], DRAWS, seed)
    return {
        "a": of_a / count,
        "b": of_b / count,
        "difference": (of_b - of_a) / count,
        "ci95": interval,
        "p_value": p_value,
        "verdict": verdict_of(interval, p_value),
        "images_needed": images_needed(_parts(statistics)),
    }


def _parts(statistics: "np.ndarray") -> "np.ndarray":
    """Each image's part of the difference, so that their mean is the difference and their spread its error."""
    change = statistics[:, 1] - statistics[:, 0]
    whole = change.sum() / statistics[:, 2].sum()
    parts: np.ndarray = whole + (change - whole * statistics[:, 2]) / statistics[:, 2].mean()
    return parts


def verdict_of(interval: Sequence[float] | None, p_value: float) -> str:
    """better or worse where interval and p-value both say so, else tie."""
    if interval is None or p_value >= SIGNIFICANT or interval[0] <= 0 <= interval[1]:
        return "tie"
    return "better" if interval[0] > 0 else "worse"
