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
    found = true + _resampled(residuals, np.random.default_rng(seed))
    winners = found.argmax(axis=1)
    excess = float((found[np.arange(DRAWS), winners] - true[winners]).mean())
    return ChosenPoint(best, score, score - max(0.0, excess))


def chosen_by_objective(sources: dict[str, Floats], errors: dict[str, float], seed: int) -> dict[str, ChosenPoint]:
    """By source, the score of the point with the best objective, corrected as chosen_point corrects a single score.

    The points' objectives are shrunk as a whole and each source is resampled by its own images, since the choice is
    made by the sum.
    """
    weight = {name: 1 / error / math.sqrt(len(sources)) for name, error in errors.items()}
    means = {name: values.mean(axis=0) for name, values in sources.items()}
    totals = np.sum([weight[name] * each for name, each in means.items()], axis=0)
    best = int(np.argmax(totals))
    plain = {name: ChosenPoint(best, float(each[best]), float(each[best])) for name, each in means.items()}
    if len(totals) < 2 or min(map(len, sources.values())) < 2:
        return plain
    parts = {name: residuals_of_points(values) for name, values in sources.items()}
    noise = sum((weight[name] * error) ** 2 for name, (_, error) in parts.items())
    observed = float(totals.var(ddof=1))
    kept = math.sqrt(max(0.0, 1 - noise / observed)) if observed > 0 else 0.0
    random = np.random.default_rng(seed)
    moved = {name: _resampled(residuals, random) for name, (residuals, _) in parts.items()}
    world = totals.mean() + kept * (totals - totals.mean())
    winners = (world + np.sum([weight[name] * each for name, each in moved.items()], axis=0)).argmax(axis=1)
    excess = {name: float(each[np.arange(DRAWS), winners].mean()) for name, each in moved.items()}
    return {name: each._replace(corrected=each.score - max(0.0, excess[name])) for name, each in plain.items()}


def _resampled(residuals: Floats, random: np.random.Generator) -> Floats:
    """The points' errors in samples of images with replacement, (draws, points)."""
    images = len(residuals)
    weights = random.multinomial(images, [1 / images] * images, DRAWS) / images
    moved: Floats = weights @ residuals * math.sqrt(images / (images - 1))
    return moved
