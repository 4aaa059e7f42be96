"""The objective of a training's validations: one number for all sources, which can select the best checkpoint."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tasks.evaluation.headline import HeadlineScore, headline_name
from tasks.evaluation.metrics.registry import CAPTION_METRICS, HEADLINE
from tasks.evaluation.objective import Reference, Standard, objective_of, plain_mean, reference_of
from tasks.evaluation.scores import Interval
from tasks.evaluation.uncertainty.intervals import proportion_interval, score_interval
from tasks.evaluation.uncertainty.moments import pseudo_values, ratio_score
from tasks.prompt_text import Task
from tasks.sources import source_of

OBJECTIVE = "score"
# in the log: the score of each source, and the standard error of its images' scores
SOURCE, ERROR = "source_", "error_"
PREFIX = "eval_"


class ScoredAnswer(NamedTuple):
    """The score of one answer by the headline metric of its task."""

    task: Task
    image: str
    score: float


def scores_by_source(answers: Iterable[ScoredAnswer]) -> dict[str, HeadlineScore]:
    """The headline score of each source, by headline_name, with its 95 % interval over images."""
    sums: dict[tuple[Task, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0]))
    for task, image, score in answers:
        of_image = sums[task, source_of(image)][image]
        of_image[0] += score
        of_image[1] += 1
    asked: dict[Task, set[str]] = {"vqa": {source for task, source in sums if task == "vqa"}}
    return {
        headline_name(source, task, asked): _headline(task, list(images.values()))
        for (task, source), images in sorted(sums.items())
    }


def _headline(task: Task, sums: list[list[float]]) -> HeadlineScore:
    statistics = np.array(sums)
    value = float(statistics[:, 0].sum() / statistics[:, 1].sum())
    interval: Interval
    if task == "vqa":
        interval = proportion_interval(*statistics.T)
    else:
        metric = CAPTION_METRICS[HEADLINE[task]]
        interval = score_interval(pseudo_values(statistics, ratio_score), metric.range, metric.skewness)
    return {"metric": HEADLINE[task], "value": value, "ci95": interval}


def objective_log(scores: Mapping[str, HeadlineScore], history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What a validation logs: each source's score and error, and the objective against the first validation.

    `history` is the log so far, which a resumed training has too. If the first validation resolves no source, the
    objective is the mean of the scores.
    """
    own = reference_of(scores)
    logged = {f"{SOURCE}{name}": found["value"] for name, found in scores.items()}
    logged |= {f"{ERROR}{name}": error for name, error in own.errors.items()}
    first = next((entry for entry in history if any(key.startswith(PREFIX + SOURCE) for key in entry)), None)
    reference = own if first is None else _logged_reference(first, scores)
    if not reference.sources:
        reference = plain_mean(scores)
    return {**logged, OBJECTIVE: objective_of({name: found["value"] for name, found in scores.items()}, reference)}


def _logged_reference(entry: Mapping[str, float], scores: Mapping[str, HeadlineScore]) -> Reference:
    """The reference that a validation made, from its line in the log."""
    return Reference(
        sources={
            name: Standard(metric=found["metric"], value=entry[PREFIX + SOURCE + name], error=error)
            for name, found in scores.items()
            if (error := entry.get(PREFIX + ERROR + name))
        }
    )
