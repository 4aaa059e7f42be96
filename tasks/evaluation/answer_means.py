"""Means of scores over answers, each with its interval over images."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np

from tasks.evaluation.scores import Interval
from tasks.evaluation.uncertainty.intervals import proportion_interval, score_interval
from tasks.evaluation.uncertainty.moments import Floats, pseudo_values, ratio_score


class Answered(Protocol):
    """An answer about an image."""

    @property
    def image(self) -> str: ...


AnyAnswer = TypeVar("AnyAnswer", bound=Answered)
OneAnswer = TypeVar("OneAnswer", bound=Answered, contravariant=True)


class MeanMetric(Protocol[OneAnswer]):
    """A metric whose score is the mean over answers."""

    @property
    def interval(self) -> bool: ...

    @property
    def score(self) -> Callable[[OneAnswer], float]: ...


def means_over_answers(
    answers: Sequence[AnyAnswer], metrics: Mapping[str, MeanMetric[AnyAnswer]]
) -> tuple[dict[str, float], dict[str, Interval]]:
    """Each metric's mean over answers, and its interval over images."""
    scores: dict[str, float] = {}
    intervals: dict[str, Interval] = {}
    for name, metric in metrics.items():
        statistics = sums_by_image(answers, metric.score)
        scores[name] = float(statistics[:, 0].sum()) / len(answers)
        if metric.interval:
            intervals[name] = _interval_of_mean(statistics)
    return scores, intervals


def _interval_of_mean(statistics: Floats) -> Interval:
    """The interval of a mean over answers from sums by image (images, 2): Wilson's for right or wrong answers."""
    sums, asked = statistics.T
    if np.all(sums == np.floor(sums)) and np.all(sums <= asked):
        return proportion_interval(sums, asked)
    return score_interval(pseudo_values(statistics, ratio_score))


def sums_by_image(answers: Sequence[AnyAnswer], score: Callable[[AnyAnswer], float]) -> Floats:
    """The sum of a score over the answers of each image, and their number: float64 (images, 2), sorted by image."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for answer in answers:
        sums[answer.image][0] += score(answer)
        sums[answer.image][1] += 1
    return np.array([sums[image] for image in sorted(sums)], dtype=float)
