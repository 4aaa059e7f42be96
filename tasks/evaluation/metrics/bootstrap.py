"""Bootstrap intervals and permutation tests over images.

All answers about an image are drawn together, and the document frequency stays that of the whole test set, so a
draw needs only each image's statistics.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

CHUNK = 64
LEVEL = 0.95
POWER = 0.8
Z_BOTH = NormalDist().inv_cdf((1 + LEVEL) / 2) + NormalDist().inv_cdf(POWER)
# With fewer images no permutation of signs reaches p < 0.05, however large the difference.
FEWEST_IMAGES = 6

Floats = NDArray[np.float64]
# sums of the statistics over the drawn images (draws, k) -> the score of each draw (draws,)
SumsToScores = Callable[[Floats], Floats]


def image_weights(images: int, draws: int, seed: int) -> Iterator[Floats]:
    """How often each image is in each draw: float64 (up to 64 draws, images) at a time."""
    random = np.random.default_rng(seed)
    for start in range(0, draws, CHUNK):
        drawn = random.integers(0, images, (min(CHUNK, draws - start), images))
        yield np.stack([np.bincount(row, minlength=images) for row in drawn]).astype(float)


def bootstrap_scores(statistics: Floats, from_sums: SumsToScores, draws: int, seed: int) -> Floats:
    """The score of every draw (draws,), from statistics (images, k) that add up over images."""
    chunks = [from_sums(weights @ statistics) for weights in image_weights(len(statistics), draws, seed)]
    return np.concatenate(chunks) if chunks else np.empty(0)


def percentile_interval(scores: Floats) -> list[float] | None:
    """The 95 % percentile interval of the draws' scores, [low, high]; None without draws."""
    if not len(scores):
        return None
    low, high = np.quantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(low), float(high)]


def ratio_score(sums: Floats) -> Floats:
    """The first sum over the second: right answers over questions, or a sum of scores over images."""
    scores: Floats = sums[:, 0] / sums[:, 1]
    return scores


def mean_interval(values: Floats, draws: int, seed: int) -> list[float] | None:
    """The interval of the mean of one value per image (images,)."""
    statistics = np.stack([values, np.ones(len(values))], axis=1)
    return percentile_interval(bootstrap_scores(statistics, ratio_score, draws, seed))


def ratio_interval(statistics: Floats, draws: int, seed: int) -> list[float] | None:
    """The interval of a ratio of sums over images, from statistics (images, 2)."""
    return percentile_interval(bootstrap_scores(statistics, ratio_score, draws, seed))


def permutation_p_value(differences: Floats, draws: int, seed: int) -> float:
    """Two-sided p-value of the sum of paired differences, one per image (images,), under random signs."""
    random = np.random.default_rng(seed)
    observed = abs(differences.sum())
    reached = 0
    for start in range(0, draws, CHUNK):
        signs = random.choice([-1.0, 1.0], (min(CHUNK, draws - start), len(differences)))
        # the tolerance treats sums as equal that differ only by the order of addition
        reached += int((np.abs(signs @ differences) >= observed - 1e-9).sum())
    return (1 + reached) / (1 + draws)


def images_needed(differences: Floats) -> int | None:
    """The number of images at which a two-sided 5 % test finds a difference of this size with a power of 0.8.

    `differences` has each image's part of the difference, (images,); their mean is the difference. None if there
    is no difference to find.
    """
    mean, count = float(np.mean(differences)), len(differences)
    if count < 2 or abs(mean) < 1e-12:
        return None
    needed = (Z_BOTH * float(np.std(differences, ddof=1)) / mean) ** 2
    return max(FEWEST_IMAGES, math.ceil(needed))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of a family of comparisons, adjusted for multiple testing (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
