"""The headline score of each source: its value, the best image-blind baseline next to it, and how it changed."""

from collections.abc import Container, Iterable

from typing_extensions import TypedDict

from tasks.evaluation.metrics.registry import HEADLINE
from tasks.evaluation.scores import (
    Difference,
    Differences,
    Interval,
    Scores,
    differences_by_metric,
    metric_value,
)
from tasks.prompt_text import Task

CAPTIONS = " captions"


class _ByMetric(TypedDict):
    metric: str


class HeadlineScore(_ByMetric):
    """The score of a source by the headline metric of its task."""

    value: float
    ci95: Interval


class HeadlineChange(_ByMetric, Difference):
    """The difference between two models by the headline metric of a source's task."""


def headline_name(source: str, task: Task, with_questions: Container[str]) -> str:
    """The name of a headline score: the source, or "SOURCE captions" if the source has questions too."""
    return f"{source}{CAPTIONS}" if task == "captioning" and source in with_questions else source


def names_of(source: str) -> tuple[str, str]:
    """The names that headline scores of a source may have."""
    return source, f"{source}{CAPTIONS}"


def headline_scores(scores: Scores, tasks: Iterable[Task] = tuple(HEADLINE)) -> dict[str, HeadlineScore]:
    """The headline score of each source, by headline_name.

    Sources without a score are left out, as captions of a single image are.
    """
    found: dict[str, HeadlineScore] = {}
    for task in tasks:
        metric = HEADLINE[task]
        for source, of_source in scores[task].items():
            value = metric_value(of_source, metric)
            if value is not None:
                name = headline_name(source, task, scores["vqa"])
                found[name] = {"metric": metric, "value": value, "ci95": of_source["ci95"][metric]}
    return found


def headline_changes(comparison: Differences, tasks: Iterable[Task] = tuple(HEADLINE)) -> dict[str, HeadlineChange]:
    """The difference of each source by its headline metric, by headline_name."""
    return {
        headline_name(source, task, comparison["vqa"]): {"metric": HEADLINE[task], **differences[HEADLINE[task]]}
        for task in tasks
        for source, compared in comparison[task].items()
        if HEADLINE[task] in (differences := differences_by_metric(compared))
    }
