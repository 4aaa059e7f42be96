"""How many images a paired test needs to find a difference."""

import math
from statistics import NormalDist

import numpy as np

from tasks.evaluation.uncertainty.moments import FEWEST_IMAGES, LEVEL, Floats

POWER = 0.8
Z_BOTH = NormalDist().inv_cdf((1 + LEVEL) / 2) + NormalDist().inv_cdf(POWER)


def images_needed(values: Floats) -> int | None:
    """The number of images at which a two-sided 5 % test finds a difference of this size with a power of 0.8.

    `values` are the difference's pseudo-values (images,). None if there is no difference to find.
    """
    mean, count = float(np.mean(values)), len(values)
    if count < 2 or abs(mean) < 1e-12:
        return None
    needed = (Z_BOTH * float(np.std(values, ddof=1)) / mean) ** 2
    return max(FEWEST_IMAGES, math.ceil(needed))
