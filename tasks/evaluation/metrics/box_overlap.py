"""Intersection over union of boxes: (x1, y1, x2, y2), or rotated about their centre by a fifth number in degrees."""

import math
from collections.abc import Sequence

import numpy as np

from tasks.boxes import Box
from tasks.evaluation.uncertainty.moments import Floats

Point = tuple[float, float]
# the least overlap of a hit
HIT = 0.5


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes; 0 if one has no area."""
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    if min(areas) <= 0:
        return 0.0
    rotated = any(len(box) > 4 and box[4] for box in (one, other))
    common = _common_area(_corners(one), _corners(other)) if rotated else _common_upright(one, other)
    return common / (sum(areas) - common)


def overlap_of_all(answers: Sequence[Box], references: Sequence[Box]) -> tuple[float, float]:
    """The mean overlap, and the share of hits, of the best one-to-one assignment of two groups of boxes.

    A box without a partner in the other group counts as a miss.
    """
    from scipy.optimize import linear_sum_assignment

    found: Floats = np.array([[overlap(answer, reference) for reference in references] for answer in answers])
    pairs = linear_sum_assignment(found, maximize=True)
    most = max(len(answers), len(references))
    return float(found[pairs].sum()) / most, float((found[pairs] >= HIT).sum()) / most


def _common_upright(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def _corners(box: Box) -> list[Point]:
    """The corners in order, turned as GeoChat draws them: from x towards y."""
    x1, y1, x2, y2, angle = (*box, 0.0)[:5]
    center_x, center_y, turn = (x1 + x2) / 2, (y1 + y2) / 2, math.radians(angle)
    cosine, sine = math.cos(turn), math.sin(turn)
    around = ((x - center_x, y - center_y) for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2)))
    return [(center_x + x * cosine - y * sine, center_y + x * sine + y * cosine) for x, y in around]


def _common_area(one: Sequence[Point], other: Sequence[Point]) -> float:
    """The area that two convex polygons share: the first, cut along each side of the second (Sutherland, Hodgman)."""
    left = list(one)
    for start, end in zip(other, [*other[1:], other[0]], strict=True):
        left = _cut(left, start, end)
    sides = zip(left, [*left[1:], *left[:1]], strict=True)
    return abs(sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in sides)) / 2


def _cut(polygon: Sequence[Point], start: Point, end: Point) -> list[Point]:
    """The part of a polygon on the inner side of a line."""
    kept: list[Point] = []
    for point, following in zip(polygon, [*polygon[1:], *polygon[:1]], strict=True):
        side, next_side = _side(point, start, end), _side(following, start, end)
        if side >= 0:
            kept.append(point)
        if side * next_side < 0:
            share = side / (side - next_side)
            kept.append((point[0] + share * (following[0] - point[0]), point[1] + share * (following[1] - point[1])))
    return kept


def _side(point: Point, start: Point, end: Point) -> float:
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])
