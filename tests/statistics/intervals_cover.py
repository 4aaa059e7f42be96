"""How often 95 % intervals cover the true score."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from cells import COVERS, Case
from real_values import SIZES, SOURCES, right_answers, scores

from tasks.evaluation.caption_metrics import MetricScores, bleu_from_counts, mean_over_images
from tasks.evaluation.metrics.registry import CAPTION_METRICS
from tasks.evaluation.scoring import caption_interval
from tasks.evaluation.uncertainty.intervals import proportion_interval
from tasks.evaluation.uncertainty.moments import Floats

# Scored: values (images, ...) -> scores
Scored = Callable[[Floats], MetricScores]
CIDER_ANSWERS = ("peer", "best_of_five", "class_consensus", "human")
QUESTIONS = (1, 5, 20, 100)
CORRELATIONS = (0.0, 0.1, 0.3, 0.8)
SHARES = (0.5, 0.8, 0.95)


def of_scores() -> Iterator[Case]:
    """Intervals of caption metrics: test sets drawn from real images, whose score over all of them is the true one."""
    for source in SOURCES:
        for answers in CIDER_ANSWERS:
            values = scores(source, "CIDEr", answers)
            yield from _covers(f"{source} CIDEr {answers}", "CIDEr", values, mean_over_images)
        for metric, scored in (("ROUGE-L", mean_over_images), ("BLEU-4", _bleu), ("METEOR", _like_meteor)):
            values = scores(source, "ROUGE-L" if metric == "ROUGE-L" else "BLEU", "peer")
            yield from _covers(f"{source} {metric} peer", metric, values, scored)


def _covers(row: str, metric: str, values: Floats, scored: Scored) -> Iterator[Case]:
    true = scored(values).corpus

    def happens(images: int, random: np.random.Generator) -> bool | None:
        drawn = values[random.integers(0, len(values), images)]
        return _contains(caption_interval(scored(drawn), CAPTION_METRICS[metric]), true)

    for images in SIZES:
        yield Case(row, str(images), COVERS, partial(happens, images))


def _contains(interval: Any, true: float) -> bool | None:
    # bounds of 0 and 1 differ from them by rounding
    return None if interval is None else bool(interval[0] - 1e-12 <= true <= interval[1] + 1e-12)


def _bleu(counts: Floats) -> MetricScores:
    from_sums = partial(bleu_from_counts, 4)
    return MetricScores(float(from_sums(counts.sum(axis=0, keepdims=True))[0]), from_sums(counts), counts, from_sums)


def _like_meteor(counts: Floats) -> MetricScores:
    """A stand-in for METEOR: F-mean with a penalty for fragments, from BLEU's counts; only Java combines METEOR's own.

    Like METEOR it is a function of sums over images, and only its values per image are known to the interval.
    """
    return MetricScores(float(_fragmented(counts.sum(axis=0, keepdims=True))[0]), _fragmented(counts))


def _fragmented(counts: Floats) -> Floats:
    hits, pairs = counts[:, 6], counts[:, 7]
    precision, recall = hits / (counts[:, 2] + 1e-9), hits / (counts[:, 1] + 1e-9)
    mean = precision * recall / (0.85 * precision + 0.15 * recall + 1e-12)
    fragments = np.clip(1 - pairs / (hits + 1e-9), 0, 1)
    return np.asarray(mean * (1 - 0.6 * fragments**0.2))


def of_accuracy() -> Iterator[Case]:
    """Intervals of accuracy: questions clustered by image, with an intra-image correlation of right answers."""
    for questions, correlation, share in product(QUESTIONS, CORRELATIONS, SHARES):
        if questions > 1 or correlation == 0:
            row = f"{questions} questions, correlation {correlation:g}, accuracy {share:g}"
            yield from _accuracies(row, questions, correlation, share)


def _accuracies(row: str, questions: int, correlation: float, share: float) -> Iterator[Case]:
    def happens(images: int, random: np.random.Generator) -> bool | None:
        asked = np.full(images, float(questions))
        right = right_answers(random, asked, share, correlation)
        return _contains(proportion_interval(right, asked), share)

    for images in SIZES:
        # the beta-binomial model of many questions takes milliseconds
        yield Case(row, str(images), COVERS, partial(happens, images), 0.5 if questions == 100 else 1.0)
