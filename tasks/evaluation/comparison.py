"""Compare two or more reports on one test set image by image: difference, interval, p-value and verdict."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tasks.errors import UserError
from tasks.evaluation.compared_scores import (
    Difference,
    Differences,
    ModelComparison,
    SeveralComparisons,
    SourceComparison,
    compared_sources,
    differences_by_metric,
)
from tasks.evaluation.gains import SIGNIFICANT, difference_of_means
from tasks.evaluation.metrics.registry import METRICS_BY_TASK, Metric, compared_metrics
from tasks.evaluation.protocol import UNKNOWN_DECODING, protocol_differences
from tasks.evaluation.report_folder import ModelReport, read_report
from tasks.evaluation.tables import AnswerRow, row_score
from tasks.evaluation.uncertainty.families import holm
from tasks.evaluation.uncertainty.moments import Floats, pseudo_values
from tasks.evaluation.uncertainty.paired import paired_test
from tasks.evaluation.uncertainty.power import images_needed, needed_at
from tasks.files import read_json, write_json
from tasks.prompt_text import Task

# the key stays in comparison.json; no test draws at random any more
DRAWS = 0
TIE = "tie"
# how p-values are computed and corrected, for the captions of tables
TEST = "two-sided paired test over images, corrected for skewness"
CORRECTION = "Holm's correction over all sources, metrics and models"


def compare(report_a: Path, report_b: Path, out: Path | None) -> ModelComparison:
    """Compare report B with report A by source and metric, and write the result to `out` unless that is None.

    For each metric: a, b, difference (b - a), its 95 % interval over images, a two-sided p-value of a paired test, the
    same adjusted by Holm over all sources and metrics (`p_adjusted`), the verdict on B (better, worse or tie), and the
    number of images at which a difference of this size would give a verdict.
    Raises UserError for reports on different test sets or protocols, and where `out` holds another comparison.
    """
    result = _uncorrected(read_report(report_a), read_report(report_b))
    _correct([result])
    if out is not None:
        write_comparison(out, result)
    return result


def _uncorrected(a: ModelReport, b: ModelReport) -> ModelComparison:
    require_same_protocol(a, b)
    compared = _differences(a.rows, b.rows)
    result: ModelComparison = {
        "version": 1,
        "a": {"model": a.name, "sha256": a.sha256},
        "b": {"model": b.name, "sha256": b.sha256},
        "protocol": b.protocol,
        "draws": DRAWS,
        "captioning": compared["captioning"],
        "vqa": compared["vqa"],
    }
    if "grounding" in compared:
        result["grounding"] = compared["grounding"]
    if unknown := [each.name for each in (a, b) if each.protocol.get("decoding") == UNKNOWN_DECODING]:
        result["unknown_decoding"] = unknown
    return result


def compare_several(report_a: Path, others: Sequence[Path], out: Path | None) -> SeveralComparisons:
    """Compare several reports with report A: `comparisons` has the result of `compare` for each, in their order.

    The p-values of all sources, metrics and reports are one family, adjusted by Holm's correction (`p_value_holm`), and
    decide the verdicts: without it, one of twenty equal models would be called better or worse by chance.
    """
    a = read_report(report_a)
    found = [_uncorrected(a, read_report(other)) for other in others]
    family = _correct(found)
    for each in family:
        each["p_value_holm"] = each["p_adjusted"]
    result: SeveralComparisons = {"version": 1, "a": found[0]["a"], "correction": "Holm", "comparisons": found}
    if out is not None:
        write_comparison(out, result)
    return result


def _correct(compared: Sequence[Differences]) -> list[Difference]:
    """Adjust the p-values of all differences of a page by Holm, and decide their verdicts."""
    family = [
        (difference, metrics[name])
        for each in compared
        for task, metrics in METRICS_BY_TASK.items()
        for of_source in compared_sources(each, task).values()
        for name, difference in differences_by_metric(of_source).items()
    ]
    adjusted = holm([difference["p_value"] for difference, _ in family])
    for (difference, metric), p_value in zip(family, adjusted, strict=True):
        _raise_images_needed(difference, p_value)
        difference["p_adjusted"] = p_value
        difference["verdict"] = verdict_of(difference["difference"], p_value, metric.higher_is_better)
    return [difference for difference, _ in family]


def _raise_images_needed(difference: Difference, p_adjusted: float) -> None:
    """Turn the number of images for a single test into that for the level which the correction leaves it."""
    if (needed := difference["images_needed"]) is not None and difference["p_value"] > 0:
        difference["images_needed"] = needed_at(needed, SIGNIFICANT * min(1.0, difference["p_value"] / p_adjusted))


def require_same_protocol(a: ModelReport, b: ModelReport) -> None:
    """Raise UserError for reports on different test sets or under different protocols."""
    different = protocol_differences(a.protocol, b.protocol)
    if "test_set" in different:
        parts = [each.name for each in (a, b) if "partial" in each.protocol["test_set"]]
        why = f" ({' and '.join(parts)} on a part of the questions)" if parts else ""
        raise UserError(
            f"The reports {a.path} and {b.path} are on different test sets{why}: evaluate both models on the same one."
        )
    if different:
        raise UserError(
            f"The reports {a.path} and {b.path} were scored under different protocols, in {', '.join(different)}: "
            "answer and evaluate both with the same settings."
        )


def write_comparison(out: Path, result: Mapping[str, object]) -> None:
    """Write a comparison as JSON; raises UserError if `out` holds another one."""
    if out.exists() and read_json(out) != result:
        raise UserError(f"{out} already holds something else: give another --out, or move it away.")
    write_json(out, result)


def compare_rows(a: Iterable[AnswerRow], b: Iterable[AnswerRow]) -> Differences:
    """Compare two models by their rows of per_answer.jsonl for the same test set, as one family of tests."""
    result = _differences(a, b)
    _correct([result])
    return result


def _differences(a: Iterable[AnswerRow], b: Iterable[AnswerRow]) -> Differences:
    """The differences by source and metric; their p-values are not corrected yet."""
    found: dict[Task, dict[str, SourceComparison]] = {task: defaultdict(dict) for task in METRICS_BY_TASK}
    metrics = compared_metrics()
    for (source, index), statistics in _paired(a, b, [metric for _, metric in metrics]).items():
        task, metric = metrics[index]
        of_source = found[task][source]
        of_source.setdefault("images", len(statistics))
        if task != "captioning":
            of_source.setdefault("questions", int(statistics[:, 2].sum()))
        of_source[metric.name] = _compared(statistics, metric)
    result: Differences = {"captioning": dict(found["captioning"]), "vqa": dict(found["vqa"])}
    if found["grounding"]:
        result["grounding"] = dict(found["grounding"])
    return result


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


def _compared(statistics: Floats, metric: Metric) -> Difference:
    of_a, of_b, count = statistics.sum(axis=0)
    values = pseudo_values(statistics[:, [1, 0, 2]], difference_of_means)
    test = paired_test(values, metric.largest_difference)
    return {
        "a": of_a / count,
        "b": of_b / count,
        "difference": (of_b - of_a) / count,
        "ci95": test.interval,
        "p_value": test.p_value,
        "p_adjusted": test.p_value,
        "verdict": TIE,
        "images_needed": images_needed(values),
    }


def verdict_of(difference: float, p_value: float, higher_is_better: bool = True) -> str:
    """better or worse if the adjusted p-value shows a difference, else tie."""
    if p_value >= SIGNIFICANT:
        return TIE
    return "better" if (difference > 0) == higher_is_better else "worse"
