"""Families of tests on one page: Holm against a fixed reference, a range test against the best of several points."""

import math
from collections.abc import Sequence

import numpy as np

from tasks.evaluation.uncertainty.moments import FEWEST_IMAGES, LEVEL, ROUNDING, Floats, residuals_of_points

DRAWS = 2000


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of comparisons with a reference that was fixed beforehand (Holm 1979).

    Not for comparisons with the best of a page: the same data chose it, which no adjustment of single p-values covers.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def worse_than_best(sources: Sequence[Floats], seed: int) -> list[Floats]:
    """Adjusted p-values, by source and point, of each point's gap to the best point of its source.

    Each source has pseudo-values (images, points); higher is better. A gap, in units of the points' common error, is
    compared with the range of all points under random signs of each image's residuals, the greatest over all sources.
    So the best, chosen by the same data, has p = 1, and the level holds for any number of points (Tukey's range test by
    randomisation). With fewer than six images all have p = 1.
    """
    random = np.random.default_rng(seed)
    greatest, gaps = np.zeros(DRAWS), []
    for values in sources:
        residuals, error = residuals_of_points(values)
        gap = values.mean(axis=0).max() - values.mean(axis=0)
        if len(values) < FEWEST_IMAGES:
            gaps.append(np.zeros_like(gap))
        elif error < ROUNDING:
            # the points differ alike on all images, so that no draw reaches a gap
            gaps.append(np.where(gap > ROUNDING, math.inf, 0.0))
        else:
            moved = _moved(residuals, random) / error
            greatest = np.maximum(greatest, moved.max(axis=1) - moved.min(axis=1))
            gaps.append(gap / error)
    return [_p_values(greatest, gap, len(values)) for gap, values in zip(gaps, sources, strict=True)]


def objective_worse_than_best(sources: dict[str, Floats], errors: dict[str, float], seed: int) -> Floats:
    """Adjusted p-values (points,) of each point's gap to the best objective, as worse_than_best computes them."""
    random = np.random.default_rng(seed)
    total, moved = np.zeros(1), np.zeros(1)
    for name, values in sources.items():
        weight = 1 / errors[name] / math.sqrt(len(sources))
        residuals, _ = residuals_of_points(values)
        moved = moved + _moved(residuals, random) * weight
        total = total + values.mean(axis=0) * weight
    images = sum(map(len, sources.values()))
    return _p_values(moved.max(axis=1) - moved.min(axis=1), total.max() - total, images)


def _moved(residuals: Floats, random: np.random.Generator) -> Floats:
    """The points' means under random signs, (draws, points); one sign per image keeps the points' correlation."""
    from scipy.special import ndtri, stdtrit

    images = len(residuals)
    middle = (1 + LEVEL) / 2
    # signs give the spread of a normal; with few images the tails are those of Student's t
    scale = math.sqrt(images / (images - 1)) * float(stdtrit(images - 1, middle) / ndtri(middle))
    moved: Floats = random.choice([-1.0, 1.0], (DRAWS, images)) @ residuals * (scale / images)
    return moved


def _p_values(ranges: Floats, gaps: Floats, images: int) -> Floats:
    """The shares of the draws' ranges that reach each gap; as in the paired test, none is below the sign test's p."""
    # the tolerance treats sums as equal that differ only by the order of addition
    reached = len(ranges) - np.searchsorted(np.sort(ranges), gaps - ROUNDING)
    shares: Floats = np.maximum((1 + reached) / (1 + len(ranges)), 2.0 ** (1 - images))
    return shares
