"""How many images a paired test needs to find a difference."""

import math
from statistics import NormalDist

import numpy as np

from tasks.evaluation.uncertainty.moments import FEWEST_IMAGES, LEVEL, Floats

POWER = 0.8


def images_needed(values: Floats) -> int | None:
    """The number of images at which a two-sided 5 % test finds a difference of this size with a power of 0.8.

    `values` are the difference's pseudo-values (images,). None if there is no difference to find.
    """
    mean, count = float(np.mean(values)), len(values)
    if count < 2 or abs(mean) < 1e-12:
        return None
    needed = (_quantiles(1 - LEVEL) * float(np.std(values, ddof=1)) / mean) ** 2
    return max(FEWEST_IMAGES, math.ceil(needed))


def needed_at(needed: int, level: float) -> int:
    """The number of images for a test on another level, from that for 5 %."""
    # no test of n images has a p-value below that of the sign test
    fewest = math.ceil(1 - math.log2(level))
    return max(fewest, math.ceil(needed * (_quantiles(level) / _quantiles(1 - LEVEL)) ** 2))


def _quantiles(level: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - level / 2) + normal.inv_cdf(POWER)
