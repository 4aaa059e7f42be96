"""Who leads a sweep: scores on the validation set with intervals, and ties where the paired test says so."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.errors import UserError
from tasks.evaluation.comparison import METRICS, compare_several
from tasks.files import read_json
from tasks.records import Value
from tasks.sweeping.config import Objective

LEADING = {"captioning": "CIDEr", "vqa": "accuracy"}
TASKS: dict[str, tuple[str, ...]] = {"score": ("captioning", "vqa"), "CIDEr": ("captioning",), "accuracy": ("vqa",)}
BEST, TIE, WORSE, BETTER, MIXED = "best", "tie", "worse", "better", "mixed"


class Entry(Value):
    """A point that has a score, and where its report on the validation set is."""

    run: str
    settings: dict[str, Any]
    score: float
    report: Path


class Row(Value):
    """One place of the leaderboard; `against_best` holds by source the comparison with the best, point - best."""

    run: str
    settings: dict[str, Any]
    score: float
    sources: dict[str, dict[str, Any]]
    verdict: str
    against_best: dict[str, dict[str, Any]]


def score_of(report: Path, objective: Objective) -> float:
    """The mean of the sources' leading metrics; raises UserError where there is none."""
    values = [source["value"] for source in leading_scores(report, objective).values()]
    if not values:
        raise UserError(f"The validation set holds nothing that gives a {objective}: choose another objective.")
    return sum(values) / len(values)


def leading_scores(report: Path, objective: Objective) -> dict[str, dict[str, Any]]:
    """By source of a report its leading metric: name, value and 95 % interval."""
    metrics = read_json(report / METRICS)
    return {
        source: {"metric": LEADING[task], "value": found[LEADING[task]], "ci95": found["ci95"][LEADING[task]]}
        for task in TASKS[objective]
        for source, found in metrics[task].items()
        # captions of one image alone have no CIDEr
        if found[LEADING[task]] is not None
    }


def rank(entries: Sequence[Entry], objective: Objective) -> list[Row]:
    """The points by falling score, each once, compared with the first image by image.

    A point is a tie with the best where the paired test finds no difference in any source's leading metric; of all
    points together the p-values are raised by Holm's correction.
    """
    ordered = sorted({entry.run: entry for entry in entries}.values(), key=lambda entry: -entry.score)
    best, others = ordered[0], ordered[1:]
    compared = compare_several(best.report, [entry.report for entry in others], None)["comparisons"] if others else []
    against = [{}, *(_leading_comparisons(each, objective) for each in compared)]
    return [
        Row(
            run=entry.run,
            settings=entry.settings,
            score=entry.score,
            sources=leading_scores(entry.report, objective),
            verdict=overall([one["verdict"] for one in found.values()]) if place else BEST,
            against_best=found,
        )
        for place, (entry, found) in enumerate(zip(ordered, against, strict=True))
    ]


def _leading_comparisons(comparison: Mapping[str, Any], objective: Objective) -> dict[str, dict[str, Any]]:
    return {
        source: {"metric": LEADING[task], **metrics[LEADING[task]]}
        for task in TASKS[objective]
        for source, metrics in comparison[task].items()
        if LEADING[task] in metrics
    }


def overall(verdicts: Sequence[str]) -> str:
    """One verdict of those of all sources: tie where none differs, mixed where they contradict each other."""
    found = set(verdicts) - {TIE}
    if not found:
        return TIE
    return MIXED if len(found) > 1 else found.pop()
