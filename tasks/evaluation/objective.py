"""One objective for several sources: each source's gain over a reference, in units of what its images can resolve."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tasks.evaluation.headline import HeadlineScore
from tasks.evaluation.metrics.registry import METRICS_BY_TASK, Metric
from tasks.evaluation.tables import AnswerRow, row_score
from tasks.evaluation.uncertainty.families import objective_worse_than_best
from tasks.evaluation.uncertainty.moments import Floats, pseudo_values, ratio_score
from tasks.evaluation.uncertainty.paired import objective_test, paired_test
from tasks.records import Value

# half the width of a 95 % interval, in standard errors
HALF_WIDTH = 1.96
SEED = 28


class Standard(Value):
    """A source's score that counts as 0, and the standard error that counts as 1."""

    metric: str
    value: float
    error: float


class Reference(Value):
    """The sources that make the objective; `unresolved` names those without an interval, which are left out."""

    sources: dict[str, Standard]
    unresolved: tuple[str, ...] = ()

    @property
    def errors(self) -> dict[str, float]:
        """The standard error of each source."""
        return {source: standard.error for source, standard in self.sources.items()}


def reference_of(scores: Mapping[str, HeadlineScore]) -> Reference:
    """The reference that these scores make: their values, and the errors of which their intervals are 1.96 each side.

    A source without an interval, such as one image, resolves nothing: any weight for it would be a guess.
    """
    sources = {
        source: Standard(metric=found["metric"], value=found["value"], error=(high - low) / (2 * HALF_WIDTH))
        for source, found in scores.items()
        for low, high in [found["ci95"] or (0.0, 0.0)]
        if high > low
    }
    return Reference(sources=sources, unresolved=tuple(sorted(set(scores) - set(sources))))


def plain_mean(scores: Mapping[str, HeadlineScore]) -> Reference:
    """The reference under which the objective is the mean of the sources' scores."""
    error = math.sqrt(len(scores))
    return Reference(
        sources={source: Standard(metric=found["metric"], value=0.0, error=error) for source, found in scores.items()}
    )


def objective_of(scores: Mapping[str, float], reference: Reference) -> float:
    """The sum over sources of (score - reference) / error, over the root of their number.

    Its noise is about 1 whatever the number of sources, each has an equal share of it, and units cancel.
    """
    parts = [(scores[source] - each.value) / each.error for source, each in reference.sources.items()]
    return sum(parts) / math.sqrt(len(parts))


def values_of_points(
    points: Iterable[Iterable[AnswerRow]], scores: Sequence[Mapping[str, float]], reference: Reference
) -> dict[str, Floats]:
    """Pseudo-values (images, points) of each source of the reference, over the images that all points have a score for.

    The mean of each point is moved to its score, so that no test disagrees with the order of the scores.
    """
    metrics = {metric.name: metric for found in METRICS_BY_TASK.values() for metric in found.values()}
    return values_by_source(
        points, scores, {source: metrics[each.metric] for source, each in reference.sources.items()}
    )


def values_by_source(
    points: Iterable[Iterable[AnswerRow]], scores: Sequence[Mapping[str, float]], columns: Mapping[str, Metric]
) -> dict[str, Floats]:
    """Pseudo-values (images, points) of each source by its metric, as values_of_points has them."""
    sums = [_sums_by_image(rows, columns) for rows in points]
    found = {}
    for source in columns:
        common = sorted(set.intersection(*(set(each[source]) for each in sums)))
        if common:
            values = [pseudo_values(np.array([each[source][image] for image in common]), ratio_score) for each in sums]
            moved = [one - one.mean() + score[source] for one, score in zip(values, scores, strict=True)]
            found[source] = np.stack(moved, axis=1)
    return found


def _sums_by_image(rows: Iterable[AnswerRow], metrics: Mapping[str, Metric]) -> dict[str, dict[str, list[float]]]:
    """The sum and the number of scores of each image, by source."""
    sums: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0]))
    for row in rows:
        if (metric := metrics.get(row["source"])) and (score := row_score(row, metric.column)) is not None:
            of_image = sums[row["source"]][row["image"]]
            of_image[0] += score
            of_image[1] += 1
    return sums


def p_values_to_best(values: dict[str, Floats], reference: Reference) -> list[float]:
    """Adjusted p-values of each point's gap to the best objective: 1 for the best itself, and where nothing is known.

    Of two points, the paired test; of more, the range test over all of them. A source with a single image has a score
    but no error, so that no gap of an objective with it can be tested.
    """
    points = next((each.shape[1] for each in values.values()), 0)
    if set(values) != set(reference.sources) or points < 2 or min(map(len, values.values())) < 2:
        return [1.0] * points
    if points > 2:
        return [float(each) for each in objective_worse_than_best(values, reference.errors, SEED)]
    differences = {source: each[:, 0] - each[:, 1] for source, each in values.items()}
    if len(differences) == 1:
        test = paired_test(next(iter(differences.values())))
    else:
        test = objective_test(differences, reference.errors)
    return [1.0, test.p_value] if test.difference >= 0 else [test.p_value, 1.0]
