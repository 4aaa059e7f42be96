"""95 % confidence intervals over images that cover in small samples: of means and corpus scores, and of proportions."""

import math
from typing import NamedTuple

import numpy as np

from tasks.evaluation.uncertainty.moments import LEVEL, Floats, hall_inverse, moments_of

# grids of the intra-image correlation and of the proportion; equal weights of the latter are Jeffreys' prior
CORRELATIONS = np.array([0.002, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97])
PROPORTIONS = np.sin((np.arange(80) + 0.5) / 80 * np.pi / 2) ** 2


class PriorSkewness(NamedTuple):
    """The skewness that a metric's values per image have in general, and how many images this knowledge is worth."""

    skewness: float
    images: int


# CIDEr and SPICE per image are right-skewed in all real data
RIGHT_SKEWED = PriorSkewness(1.5, 7)


class Range(NamedTuple):
    """The range of a metric."""

    low: float = -math.inf
    high: float = math.inf


ANY_VALUE = Range()


def score_interval(values: Floats, bounds: Range = ANY_VALUE, prior: PriorSkewness | None = None) -> list[float] | None:
    """The interval of a mean of pseudo-values (images,); None for a single image and for equal values.

    It covers Student's t interval and Hall's, which is corrected for skewness: t alone misses too high values in
    skewed data, and Hall's alone is too short on one side. `bounds` is the metric's range.
    """
    from scipy.special import stdtrit

    images, mean, error, skewness = moments_of(values)
    if error == 0:
        return None
    if prior is None:
        # the sample's skewness is biased towards 0
        skewness *= 1 + 3 / images
    else:
        skewness = (images * skewness + prior.images * prior.skewness) / (images + prior.images)
    quantile, of_mean = float(stdtrit(images - 1, (1 + LEVEL) / 2)), skewness / math.sqrt(images)
    low = mean - error * max(quantile, hall_inverse(quantile, of_mean))
    high = mean + error * max(quantile, -hall_inverse(-quantile, of_mean))
    return [max(bounds.low, low), min(bounds.high, high)]


def proportion_interval(right: Floats, asked: Floats) -> list[float] | None:
    """The interval of an accuracy; `right` and `asked` (images,) count questions. None for a single image.

    It is Wilson's, with the squared quantile multiplied by a design effect: the greatest of 1, that of the linearised
    variance over images with Student's t, and that of the intra-image correlation which a beta-binomial model expects.
    If all or none are right there is no variance, and the last decides, with at least one effective question per image.
    Sources: Wilson 1927; Kish 1965; Williams 1975.
    """
    images, total = len(asked), float(asked.sum())
    if images < 2:
        return None
    share = float(right.sum()) / total
    squared = _squared_quantile(right, asked)
    center = (share + squared / (2 * total)) / (1 + squared / total)
    half = math.sqrt(squared * (share * (1 - share) / total + squared / (4 * total**2))) / (1 + squared / total)
    return [0.0 if share == 0 else center - half, 1.0 if share == 1 else center + half]


def _squared_quantile(right: Floats, asked: Floats) -> float:
    from scipy.special import ndtri, stdtrit

    images, total = len(asked), float(asked.sum())
    share = float(right.sum()) / total
    normal = float(ndtri((1 + LEVEL) / 2)) ** 2
    if asked.max() <= 1:
        return normal
    by_model = normal * (1 + (float((asked**2).sum()) / total - 1) * expected_correlation(right, asked))
    if share in (0.0, 1.0):
        return max(normal, min(by_model, normal * total / images))
    values = images * share - (images - 1) * (right.sum() - right) / (total - asked)
    design_effect = float(values.var()) / (images - 1) / (share * (1 - share) / total)
    return max(normal, by_model, float(stdtrit(images - 1, (1 + LEVEL) / 2)) ** 2 * design_effect)


def expected_correlation(right: Floats, asked: Floats) -> float:
    """The posterior mean of the intra-image correlation of right answers, from counts per image (images,).

    Beta-binomial model with Jeffreys' prior of the proportion, and a prior density of the correlation falling with its
    root.
    """
    scale = (1 - CORRELATIONS) / CORRELATIONS
    alpha, beta = PROPORTIONS[None] * scale[:, None], (1 - PROPORTIONS)[None] * scale[:, None]
    most = int(asked.max())
    of_right, of_wrong, of_all = (_log_rising(value, most) for value in (alpha, beta, scale))
    pairs, counts = np.unique(np.stack([right, asked]).astype(int), axis=1, return_counts=True)
    likelihood = sum(
        count * (of_right[hits] + of_wrong[questions - hits] - of_all[questions][:, None])
        for (hits, questions), count in zip(pairs.T, counts, strict=True)
    )
    density = np.gradient(CORRELATIONS) * CORRELATIONS**-0.5
    log_weight = likelihood + np.log(density)[:, None]
    weight = np.exp(log_weight - log_weight.max())
    return float((weight.sum(axis=1) * CORRELATIONS).sum() / weight.sum())


def _log_rising(base: Floats, most: int) -> Floats:
    """Logarithms of base (base + 1) ... (base + j - 1) for j from 0 to `most`, along a new first axis."""
    steps = np.log(base[None] + np.arange(most).reshape(-1, *[1] * base.ndim))
    return np.concatenate([np.zeros((1, *base.shape)), np.cumsum(steps, axis=0)])
