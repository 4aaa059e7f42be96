"""Bootstrap over images: how far a score would move on other images of the same kind.

All answers of an image are drawn together, and the document frequency stays that of the whole test set, so a
draw needs only each image's statistics.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist

import numpy as np

CHUNK = 64
LEVEL = 0.95
POWER = 0.8
Z_BOTH = NormalDist().inv_cdf((1 + LEVEL) / 2) + NormalDist().inv_cdf(POWER)
# With fewer images no permutation of signs reaches p < 0.05, however large the difference.
FEWEST_IMAGES = 6

# sums of the statistics over the drawn images (draws x statistics) -> one score a draw
Score = Callable[["np.ndarray"], "np.ndarray"]


def image_weights(images: int, draws: int, seed: int) -> Iterator["np.ndarray"]:
    """How often each image is in each draw, a few draws at a time: arrays (draws, images) of float64."""
    random = np.random.default_rng(seed)
    for start in range(0, draws, CHUNK):
        drawn = random.integers(0, images, (min(CHUNK, draws - start), images))
        yield np.stack([np.bincount(row, minlength=images) for row in drawn]).astype(float)


def bootstrap_scores(statistics: "np.ndarray", score: Score, draws: int, seed: int) -> "np.ndarray":
    """The score of every draw, from statistics (images, k) that add up over images."""
    chunks = [score(weights @ statistics) for weights in image_weights(len(statistics), draws, seed)]
    return np.concatenate(chunks) if chunks else np.empty(0)


def percentile_interval(scores: "np.ndarray") -> list[float] | None:
    """The 95 % percentile interval of the draws' scores, [low, high]; None without draws."""
    if not len(scores):
        return None
    low, high = np.quantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(low), float(high)]


def ratio_score(sums: "np.ndarray") -> "np.ndarray":
    """First statistic over the second: right answers over questions, or a sum of scores over images."""
    return sums[:, 0] / sums[:, 1]


def mean_interval(values: "np.ndarray", draws: int, seed: int) -> list[float] | None:
    """The interval of the mean of one value an image."""
    statistics = np.stack([values, np.ones(len(values))], axis=1)
    return percentile_interval(bootstrap_scores(statistics, ratio_score, draws, seed))


def ratio_interval(statistics: "np.ndarray", draws: int, seed: int) -> list[float] | None:
    """The interval of a ratio of sums over images, from statistics (images, 2)."""
    return percentile_interval(bootstrap_scores(statistics, ratio_score, draws, seed))


def permutation_p_value(differences: "np.ndarray", draws: int, seed: int) -> float:
    """Two-sided p-value of a sum of paired differences, one an image, under random signs."""
    random = np.random.default_rng(seed)
    observed = abs(differences.sum())
    reached = 0
    for start in range(0, draws, CHUNK):
        signs = random.choice([-1.0, 1.0], (min(CHUNK, draws - start), len(differences)))
        # the slack keeps equal sums equal whatever the order of adding
        reached += int((np.abs(signs @ differences) >= observed - 1e-9).sum())
    return (1 + reached) / (1 + draws)


def images_needed(differences: "np.ndarray") -> int | None:
    """How many images a verdict would have needed, were the difference seen here the true one.

    `differences` holds each image's part of it (their mean is the difference). The number is that at which a
    two-sided test at 5 % finds such a difference four times in five; None where there is none to find.
    """
    mean, count = float(np.mean(differences)), len(differences)
    if count < 2 or abs(mean) < 1e-12:
        return None
    needed = (Z_BOTH * float(np.std(differences, ddof=1)) / mean) ** 2
    return max(FEWEST_IMAGES, math.ceil(needed))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of several comparisons of one family, each raised so that all may be read at once (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    raised, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        raised[place] = highest
    return raised
