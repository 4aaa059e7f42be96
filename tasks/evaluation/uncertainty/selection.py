"""The score of a point that was chosen for its score, corrected for having been chosen (the winner's curse)."""

import math
from typing import NamedTuple

import numpy as np

from tasks.evaluation.uncertainty.moments import Floats, residuals_of_points

DRAWS = 500


class ChosenPoint(NamedTuple):
    """The best of several points: its number, its score, and its score corrected for the choice."""

    point: int
    score: float
    corrected: float


def chosen_point(values: Floats, seed: int) -> ChosenPoint:
    """The best of points from their pseudo-values (images, points); higher is better.

    The correction is the mean excess of the winner in a bootstrap over images whose true scores are the observed ones,
    shrunk to the spread that noise leaves: there the excess is known.
    """
    images, points = values.shape
    means = values.mean(axis=0)
    best = int(np.argmax(means))
    score = float(means[best])
    if points < 2 or images < 2:
        return ChosenPoint(best, score, score)
    residuals, error = residuals_of_points(values)
    observed = float(means.var(ddof=1))
    kept = max(0.0, 1 - error**2 / observed) if observed > 0 else 0.0
    true = means.mean() + math.sqrt(kept) * (means - means.mean())
    weights = np.random.default_rng(seed).multinomial(images, [1 / images] * images, DRAWS) / images
    found = true + weights @ residuals * math.sqrt(images / (images - 1))
    winners = found.argmax(axis=1)
    excess = float((found[np.arange(DRAWS), winners] - true[winners]).mean())
    return ChosenPoint(best, score, score - max(0.0, excess))
