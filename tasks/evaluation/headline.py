"""The headline score of each source: its value, the best image-blind baseline next to it, and how it changed."""

from collections.abc import Container, Iterable, Mapping

from typing_extensions import TypedDict

from tasks.evaluation.compared_scores import Difference, Differences, compared_sources, differences_by_metric
from tasks.evaluation.metrics.registry import HEADLINE
from tasks.evaluation.scores import Interval, Scores, metric_value, of_task
from tasks.prompt_text import Task

# the tasks that take a source's name; with one of them, another task's score has a suffix
FIRST: Mapping[Task, tuple[Task, ...]] = {"vqa": (), "captioning": ("vqa",), "grounding": ("vqa", "captioning")}
SUFFIXES: Mapping[Task, str] = {"captioning": " captions", "grounding": " boxes"}


class _ByMetric(TypedDict):
    metric: str


class HeadlineScore(_ByMetric):
    """The score of a source by the headline metric of its task."""

    value: float
    ci95: Interval


class HeadlineChange(_ByMetric, Difference):
    """The difference between two models by the headline metric of a source's task."""


def headline_name(source: str, task: Task, others: Mapping[Task, Container[str]]) -> str:
    """The name of a headline score: the source, or e.g. "SOURCE captions" if the source has questions too.

    `others` has the sources of the tasks FIRST[task].
    """
    return f"{source}{SUFFIXES[task]}" if any(source in others[each] for each in FIRST[task]) else source


def names_of(source: str) -> tuple[str, ...]:
    """The names that headline scores of a source may have."""
    return source, *(f"{source}{suffix}" for suffix in SUFFIXES.values())


def headline_scores(scores: Scores, tasks: Iterable[Task] = tuple(HEADLINE)) -> dict[str, HeadlineScore]:
    """The headline score of each source, by headline_name.

    Sources without a score are left out, as captions of a single image are.
    """
    found: dict[str, HeadlineScore] = {}
    for task in tasks:
        metric = HEADLINE[task]
        for source, of_source in of_task(scores, task).items():
            value = metric_value(of_source, metric)
            if value is not None:
                name = headline_name(source, task, {each: of_task(scores, each) for each in FIRST[task]})
                found[name] = {"metric": metric, "value": value, "ci95": of_source["ci95"][metric]}
    return found


def headline_changes(comparison: Differences, tasks: Iterable[Task] = tuple(HEADLINE)) -> dict[str, HeadlineChange]:
    """The difference of each source by its headline metric, by headline_name."""
    found: dict[str, HeadlineChange] = {}
    for task in tasks:
        others = {each: compared_sources(comparison, each) for each in FIRST[task]}
        for source, compared in compared_sources(comparison, task).items():
            differences = differences_by_metric(compared)
            if HEADLINE[task] in differences:
                found[headline_name(source, task, others)] = {"metric": HEADLINE[task], **differences[HEADLINE[task]]}
    return found
