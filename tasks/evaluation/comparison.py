"""Compare two or more reports on one test set image by image: difference, interval, p-value and verdict."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tasks.errors import UserError
from tasks.evaluation.metrics.bootstrap import (
    Floats,
    bootstrap_scores,
    holm,
    images_needed,
    percentile_interval,
    permutation_p_value,
)
from tasks.evaluation.metrics.registry import METRICS_BY_TASK, Metric, compared_metrics
from tasks.evaluation.protocol import protocol_differences
from tasks.evaluation.report_folder import ModelReport, read_report
from tasks.evaluation.scores import (
    Difference,
    Differences,
    Interval,
    ModelComparison,
    SeveralComparisons,
    SourceComparison,
    differences_by_metric,
)
from tasks.evaluation.tables import AnswerRow, row_score
from tasks.files import read_json, write_json
from tasks.prompt_text import Task

DRAWS = 2000
SIGNIFICANT = 0.05
# how p-values are computed and corrected, for the captions of tables
TEST = "two-sided sign-permutation test over images"
CORRECTION = "Holm's correction over the models for each source and metric"


def compare(report_a: Path, report_b: Path, out: Path | None) -> ModelComparison:
    """Compare report B with report A by source and metric, and write the result to `out` unless that is None.

    For each metric: a, b, difference (b - a), its 95 % bootstrap interval over images (the same images drawn for both),
    a two-sided p-value (permuting the signs of the differences per image), the verdict on B (better, worse or tie),
    and the number of images at which a difference of this size would give a verdict.
    Raises UserError for reports on different test sets or protocols, and where `out` holds another comparison.
    """
    a, b = read_report(report_a), read_report(report_b)
    _require_same_protocol(a, b)
    result: ModelComparison = {
        "version": 1,
        "a": {"model": a.name, "sha256": a.sha256},
        "b": {"model": b.name, "sha256": b.sha256},
        "protocol": b.protocol,
        "draws": DRAWS,
        **compare_rows(a.rows, b.rows, b.protocol["shuffling_seed"]),
    }
    if out is not None:
        write_comparison(out, result)
    return result


def compare_several(report_a: Path, others: Sequence[Path], out: Path | None) -> SeveralComparisons:
    """Compare several reports with report A: `comparisons` has the result of `compare` for each, in their order.

    For each source and metric the p-values are adjusted by Holm's correction (`p_value_holm`) and decide the verdicts;
    without it, one of twenty equal models would be called better or worse by chance.
    """
    found = [compare(report_a, other, None) for other in others]
    for task, metrics in METRICS_BY_TASK.items():
        for source, compared in found[0][task].items():
            for name in differences_by_metric(compared):
                family = [differences_by_metric(each[task][source])[name] for each in found]
                _correct(family, metrics[name].higher_is_better)
    result: SeveralComparisons = {"version": 1, "a": found[0]["a"], "correction": "Holm", "comparisons": found}
    if out is not None:
        write_comparison(out, result)
    return result


def _correct(family: Sequence[Difference], higher_is_better: bool) -> None:
    for each, adjusted in zip(family, holm([one["p_value"] for one in family]), strict=True):
        each["p_value_holm"] = adjusted
        each["verdict"] = verdict_of(each["ci95"], adjusted, higher_is_better)


def _require_same_protocol(a: ModelReport, b: ModelReport) -> None:
    different = protocol_differences(a.protocol, b.protocol)
    if "test_set" in different:
        raise UserError(
            f"The reports {a.name} and {b.name} are on different test sets: evaluate both models on the same one."
        )
    if different:
        raise UserError(
            f"The reports {a.name} and {b.name} were scored under different protocols ({', '.join(different)} differ): "
            "answer and evaluate both in the same way."
        )


def write_comparison(out: Path, result: Mapping[str, object]) -> None:
    """Write a comparison as JSON; raises UserError where `out` holds another one."""
    if out.exists() and read_json(out) != result:
        raise UserError(f"{out} already holds something else: give another --out, or move it away.")
    write_json(out, result)


def compare_rows(a: Iterable[AnswerRow], b: Iterable[AnswerRow], seed: int) -> Differences:
    """Compare two models by their rows of per_answer.jsonl for the same test set."""
    found: dict[Task, dict[str, SourceComparison]] = {task: defaultdict(dict) for task in METRICS_BY_TASK}
    metrics = compared_metrics()
    for (source, index), statistics in _paired(a, b, [metric for _, metric in metrics]).items():
        task, metric = metrics[index]
        of_source = found[task][source]
        of_source.setdefault("images", len(statistics))
        if task == "vqa":
            of_source.setdefault("questions", int(statistics[:, 2].sum()))
        of_source[metric.name] = _compared(statistics, seed, metric.higher_is_better)
    return {"captioning": dict(found["captioning"]), "vqa": dict(found["vqa"])}


def _paired(a: Iterable[AnswerRow], b: Iterable[AnswerRow], metrics: Sequence[Metric]) -> dict[tuple[str, int], Floats]:
    """Sums of A and of B and the number of values for each image, (images, 3), by source and index of the metric.

    Only answers that have a score in both are counted.
    """
    columns = [metric.column for metric in metrics]
    of_a = {(row["record"], row["turn"]): [row_score(row, column) for column in columns] for row in a}
    sums: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0, 0.0]))
    for row in b:
        for index, one in enumerate(of_a.get((row["record"], row["turn"]), ())):
            other = row_score(row, columns[index])
            if one is not None and other is not None:
                of_image = sums[row["source"], index][row["image"]]
                for column, amount in enumerate((one, other, 1)):
                    of_image[column] += amount
    return {key: np.array([images[image] for image in sorted(images)]) for key, images in sorted(sums.items())}


def _compared(statistics: Floats, seed: int, higher_is_better: bool) -> Difference:
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
        "verdict": verdict_of(interval, p_value, higher_is_better),
        "images_needed": images_needed(_parts(statistics)),
    }


def _parts(statistics: Floats) -> Floats:
    """Each image's part of the difference (images,): their mean is the difference, their spread gives its error."""
    change = statistics[:, 1] - statistics[:, 0]
    whole = change.sum() / statistics[:, 2].sum()
    parts: Floats = whole + (change - whole * statistics[:, 2]) / statistics[:, 2].mean()
    return parts


def verdict_of(interval: Interval, p_value: float, higher_is_better: bool = True) -> str:
    """better or worse where interval and p-value both show a difference, else tie."""
    if interval is None or p_value >= SIGNIFICANT or interval[0] <= 0 <= interval[1]:
        return "tie"
    return "better" if (interval[0] > 0) == higher_is_better else "worse"
