"""The headline score of each source: its value, the best image-blind baseline next to it, and how it changed."""

from collections.abc import Iterable

from typing_extensions import TypedDict

from tasks.evaluation.metrics.bootstrap import FEWEST_IMAGES
from tasks.evaluation.metrics.registry import HEADLINE
from tasks.evaluation.scores import (
    Controls,
    Difference,
    Differences,
    Interval,
    Scores,
    SourceScores,
    control_score,
    differences_by_metric,
    metric_value,
)
from tasks.prompt_text import Task

# The first group that is known decides: from the training set, else the model's own answers to other images.
IMAGE_BLIND = (("train_consensus", "constant"), ("question_only", "majority"), ("shuffled_images",))


class _ByMetric(TypedDict):
    metric: str


class HeadlineScore(_ByMetric):
    """The score of a source by the headline metric of its task."""

    value: float
    ci95: Interval


class HeadlineChange(_ByMetric, Difference):
    """The difference between two models by the headline metric of a source's task."""


def headline_scores(scores: Scores, tasks: Iterable[Task] = tuple(HEADLINE)) -> dict[str, HeadlineScore]:
    """The headline score of each source; sources without one are left out, as captions of a single image are."""
    found: dict[str, HeadlineScore] = {}
    for task in tasks:
        metric = HEADLINE[task]
        for source, of_source in scores[task].items():
            value = metric_value(of_source, metric)
            if value is not None:
                found[source] = {"metric": metric, "value": value, "ci95": of_source["ci95"][metric]}
    return found


def headline_changes(comparison: Differences, tasks: Iterable[Task] = tuple(HEADLINE)) -> dict[str, HeadlineChange]:
    """The difference of each source by its headline metric."""
    return {
        source: {"metric": HEADLINE[task], **differences[HEADLINE[task]]}
        for task in tasks
        for source, compared in comparison[task].items()
        if HEADLINE[task] in (differences := differences_by_metric(compared))
    }


def blind_baseline(controls: Controls) -> float | None:
    """The best control that does not see the image; without a training set, the model's answers to other images."""
    for names in IMAGE_BLIND:
        known = [score for name in names if (score := control_score(controls, name)) is not None]
        if known:
            return float(max(known))
    return None


def gain_is_shown(scores: SourceScores, metric: str) -> bool:
    """Whether a source's score exceeds the best image-blind baseline with its whole 95 % interval."""
    blind, interval, value = blind_baseline(scores["controls"]), scores["ci95"][metric], metric_value(scores, metric)
    if blind is None or value is None or scores["images"] < FEWEST_IMAGES:
        return False
    return (interval[0] if interval else value) > blind
