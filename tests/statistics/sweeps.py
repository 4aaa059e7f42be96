"""How often a sweep over equally good points has a verdict."""

import math
from collections.abc import Iterator
from functools import cache, partial

import numpy as np
from cells import PAGE, Case
from real_values import scores

from tasks.evaluation.uncertainty.families import objective_worse_than_best
from tasks.evaluation.uncertainty.moments import Floats
from tasks.evaluation.uncertainty.paired import objective_test

SIZES = (7, 20, 50, 100, 500)
POINTS = (2, 8, 30, 100, 500)
# what a point may say of an image
ANSWERS = ("peer", "second_peer", "best_of_five", "class_consensus", "any_image")
# images of the sources of a validation set with several of them
MIXED = {"RSICD": 200, "NWPU": 60, "UCM": 20, "LR": 7}


def of_equal_points() -> Iterator[Case]:
    """Any verdict among equally good points: each says one of five real answers of every image, at random."""
    rows = {f"RSICD, {images} images": {"RSICD": images} for images in SIZES}
    rows |= {"LR, 50 images of 5 questions": {"LR": 50}, "4 sources, 7 to 200 images": MIXED}
    for row, sizes in rows.items():
        for points in POINTS:
            happens = partial(_any_verdict, sizes, points)
            yield Case(row, f"{points} points", PAGE, happens, 1.0 if points <= 30 else 0.5)


def _any_verdict(sizes: dict[str, int], points: int, random: np.random.Generator) -> bool:
    found = {source: _equal_points(source, images, points, random) for source, images in sizes.items()}
    errors = {source: _error(source, images) for source, images in sizes.items()}
    if points == 2:
        differences = {source: values[:, 1] - values[:, 0] for source, values in found.items()}
        return objective_test(differences, errors).p_value < 0.05
    p_values = objective_worse_than_best(found, errors, int(random.integers(2**32)))
    return bool(p_values.min() < 0.05)


def _equal_points(source: str, images: int, points: int, random: np.random.Generator) -> Floats:
    """The scores of points (images, points), in expectation equal."""
    if source == "LR":
        hardness = random.beta(2.4, 0.6, images)
        return random.binomial(5, hardness[:, None], (images, points)) / 5
    kinds = _kinds(source)
    drawn = random.integers(0, len(kinds), images)
    return kinds[drawn[:, None], random.integers(0, len(ANSWERS), (images, points))]


@cache
def _kinds(source: str) -> Floats:
    return np.stack([scores(source, "CIDEr", name) for name in ANSWERS], axis=1)


@cache
def _error(source: str, images: int) -> float:
    """The error of a source's score, which is a constant of a study."""
    deviation = 0.4 if source == "LR" else float(_kinds(source).std())
    return deviation / math.sqrt(images)
