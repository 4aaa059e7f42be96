"""The headline score of each source: its value, the best image-blind baseline next to it, and how it changed."""

from collections.abc import Iterable

from typing_extensions import TypedDict

from tasks.evaluation.compared_scores import Difference, Differences, compared_sources, differences_by_metric
from tasks.evaluation.metrics.registry import HEADLINE
from tasks.evaluation.scores import Interval, Scores, metric_value, of_task
from tasks.prompt_text import Task


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
        for source, of_source in of_task(scores, task).items():
            value = metric_value(of_source, metric)
            # a source's boxes come after its questions, which are what it is compared by
            if value is not None and not (task == "grounding" and source in found):
                found[source] = {"metric": metric, "value": value, "ci95": of_source["ci95"][metric]}
    return found


def headline_changes(comparison: Differences, tasks: Iterable[Task] = tuple(HEADLINE)) -> dict[str, HeadlineChange]:
    """The difference of each source by its headline metric."""
    found: dict[str, HeadlineChange] = {}
    for task in tasks:
        for source, compared in compared_sources(comparison, task).items():
            differences = differences_by_metric(compared)
            if HEADLINE[task] in differences and not (task == "grounding" and source in found):
                found[source] = {"metric": HEADLINE[task], **differences[HEADLINE[task]]}
    return found
