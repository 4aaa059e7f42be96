"""One value per image for any score, and the moments of these values: the base of all intervals and tests.

Images are the independent units: all answers about an image count as one observation.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
# With fewer images a test cannot reach p < 0.05, however large the difference.
FEWEST_IMAGES = 6
# scores that differ by less are equal
ROUNDING = 1e-12

Floats = NDArray[np.float64]
# sums of the statistics (rows, k) -> scores (rows,)
SumsToScores = Callable[[Floats], Floats]


def ratio_score(sums: Floats) -> Floats:
    """The first sum over the second: right answers over questions, or a sum of scores over images."""
    scores: Floats = sums[:, 0] / sums[:, 1]
    return scores


class Moments(NamedTuple):
    """Number, mean, standard error of the mean, and skewness (adjusted Fisher-Pearson) of one value per image."""

    images: int
    mean: float
    error: float
    skewness: float


def pseudo_values(statistics: Floats, from_sums: SumsToScores) -> Floats:
    """Jackknife pseudo-values of a score, one per image (images,); statistics (images, k) add up over images.

    Their mean is the score, bias-corrected, and their spread its error clustered by image. For the mean of one value
    per image they are these values; for a ratio of sums, such as accuracy, they are its linearised values. Source:
    Tukey 1958; Efron and Tibshirani 1993, chapter 11.
    """
    images, sums = len(statistics), statistics.sum(axis=0)
    whole = from_sums(sums[None])[0]
    if images == 1:
        return np.array([whole])
    without: Floats = from_sums(sums - statistics)
    values: Floats = images * whole - (images - 1) * without
    return values


def moments_of(values: Floats) -> Moments:
    """Moments of one value per image (images,); error and skewness are 0 for equal values and for a single image."""
    images, mean = len(values), float(np.mean(values))
    deviations = values - mean
    second, third = float(np.mean(deviations**2)), float(np.mean(deviations**3))
    # equal values differ by rounding
    if images < 2 or second <= ROUNDING**2 * max(1.0, mean * mean):
        return Moments(images, mean, 0.0, 0.0)
    skewness = third / second**1.5 * math.sqrt(images * (images - 1)) / (images - 2) if images > 2 else 0.0
    return Moments(images, mean, math.sqrt(second / (images - 1)), skewness)


def hall(studentised: float, skewness: float) -> float:
    """Hall's monotone transformation of a studentised mean, which removes the effect of the mean's skewness.

    `skewness` is that of the mean: of the values, over the root of the number of images. Source: Hall 1992, JRSS B 54.
    """
    third = skewness / 3
    return studentised + third * studentised**2 + third**2 * studentised**3 / 3 + third / 2


def hall_inverse(transformed: float, skewness: float) -> float:
    """The studentised mean whose `hall` is `transformed`."""
    third = skewness / 3
    # the limit of the formula, where it divides by nearly 0
    if abs(third) < 1e-9:
        return transformed
    return float(np.cbrt(1 + 3 * third * (transformed - third / 2)) - 1) / third


def residuals_of_points(values: Floats) -> tuple[Floats, float]:
    """Values (images, points) without the effects of image and point, and the error of a mean that points share."""
    images, points = values.shape
    residuals: Floats = values - values.mean(axis=1, keepdims=True)
    residuals = residuals - residuals.mean(axis=0)
    freedom = (images - 1) * (points - 1)
    return residuals, math.sqrt(float((residuals**2).sum()) / freedom / images) if freedom else 0.0
