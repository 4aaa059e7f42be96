"""A paired test of two models over images that holds its level for skewed differences and few images."""

import math
from typing import NamedTuple

from tasks.evaluation.uncertainty.moments import (
    FEWEST_IMAGES,
    LEVEL,
    ROUNDING,
    Floats,
    hall,
    hall_inverse,
    moments_of,
)

# a claim must survive one unseen image against it: a skewness of 1.5 that counts as five images
ADVERSE_SKEWNESS, ADVERSE_IMAGES = 1.5, 5


class PairedTest(NamedTuple):
    """A mean difference, its 95 % interval, and p-values: of a gain, of a loss (one-sided each), and two-sided.

    The interval excludes 0 if and only if the two-sided p-value is below 0.05; it is None with fewer than six images,
    and if all images are equal.
    """

    difference: float
    interval: list[float] | None
    gain: float
    loss: float
    p_value: float


class _Estimate(NamedTuple):
    mean: float
    error: float
    # effective number of images, and the skewness of one
    images: float
    skewness: float


def paired_test(values: Floats, largest: float = math.inf) -> PairedTest:
    """Test a difference from its pseudo-values, one per image (images,).

    The p-value of each side is the greatest of three of Student's t: of the studentised mean, of its transformation by
    Hall with the observed skewness, and with one that is adverse to the claim. No difference can be above `largest`,
    on either side, which cuts the interval.
    """
    images, mean, error, skewness = moments_of(values)
    # equal scores differ by rounding
    if images < FEWEST_IMAGES or (error == 0 and abs(mean) <= ROUNDING):
        return PairedTest(mean, None, 1.0, 1.0, 1.0)
    if error == 0:
        return _equal_differences(mean, images)
    test = _tested(_Estimate(mean, error, images, skewness), least=2.0**-images)
    return test._replace(interval=[min(max(bound, -largest), largest) for bound in test.interval or ()])


def objective_test(differences: dict[str, Floats], errors: dict[str, float]) -> PairedTest:
    """Test the objective of several sources between two points, from each source's pseudo-values (images,).

    The objective is the sum of the sources' differences in units of `errors`, over the root of their number. Degrees of
    freedom: Satterthwaite 1946.
    """
    weight = 1 / math.sqrt(len(differences))
    parts = [moments_of(values * (weight / errors[name])) for name, values in differences.items()]
    mean, variance = sum(part.mean for part in parts), sum(part.error**2 for part in parts)
    if variance == 0:
        return PairedTest(mean, None, 1.0, 1.0, 1.0)
    third = sum(part.skewness * part.error**3 / math.sqrt(part.images) for part in parts)
    freedom = variance**2 / sum(part.error**4 / max(part.images - 1, 1) for part in parts)
    images = freedom + 1
    skewness = third / variance**1.5 * math.sqrt(images)
    return _tested(_Estimate(mean, math.sqrt(variance), images, skewness), least=0.0)


def _equal_differences(mean: float, images: int) -> PairedTest:
    """All images differ alike: the sign test, and Wilson's bound of the share of images that do."""
    from scipy.special import ndtri

    squared = float(ndtri((1 + LEVEL) / 2)) ** 2
    ends = sorted([mean, mean * (2 * images / (images + squared) - 1)])
    one_sided = 2.0**-images
    gain, loss = (one_sided, 1.0) if mean > 0 else (1.0, one_sided)
    return PairedTest(mean, ends, gain, loss, 2 * one_sided)


def _tested(found: _Estimate, least: float) -> PairedTest:
    from scipy.special import stdtr, stdtrit

    freedom = found.images - 1
    studentised, quantile = found.mean / found.error, float(stdtrit(freedom, (1 + LEVEL) / 2))
    for_gain, for_loss = _skewnesses(found, -1), _skewnesses(found, +1)
    gain = max(least, *(float(stdtr(freedom, -hall(studentised, each))) for each in for_gain))
    loss = max(least, *(float(stdtr(freedom, hall(studentised, each))) for each in for_loss))
    low = found.mean - found.error * max(hall_inverse(quantile, each) for each in for_gain)
    high = found.mean - found.error * min(hall_inverse(-quantile, each) for each in for_loss)
    return PairedTest(found.mean, [low, high], gain, loss, min(1.0, 2 * min(gain, loss)))


def _skewnesses(found: _Estimate, adverse: int) -> list[float]:
    """The skewnesses of the mean that a claim must survive: none, the observed one, and one adverse to it."""
    # the sample's skewness is biased towards 0
    observed = found.skewness * (1 + 3 / found.images)
    unseen = adverse * ADVERSE_IMAGES * ADVERSE_SKEWNESS
    against = (found.images * observed + unseen) / (found.images + ADVERSE_IMAGES)
    return [each / math.sqrt(found.images) for each in (0.0, observed, against)]
