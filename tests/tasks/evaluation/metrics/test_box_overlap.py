"""Overlap of boxes against values computed by hand."""

import math

import pytest

from tasks.evaluation.metrics.box_overlap import overlap, overlap_of_all

UNIT = (0.0, 0.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [
        (UNIT, UNIT, 1),
        (UNIT, (1, 0, 3, 2), 1 / 3),
        (UNIT, (1, 1, 3, 3), 1 / 7),
        (UNIT, (2, 0, 4, 2), 0),
        (UNIT, (0, 0, 0, 2), 0),
        (UNIT, (*UNIT, 90), 1),
        (UNIT, (*UNIT, 0), 1),
        # a square turned by 45 degrees about the same centre: the octagon that both share
        (UNIT, (*UNIT, 45), (8 * (math.sqrt(2) - 1)) / (8 - 8 * (math.sqrt(2) - 1))),
        ((0, 0, 4, 1, 30), (0, 0, 4, 1, 30), 1),
        # turned by 90 degrees, a bar crosses itself in its middle
        ((0, 0, 4, 1), (0, 0, 4, 1, 90), 1 / 7),
        ((0, 0, 4, 1, 10), (100, 100, 104, 101, 10), 0),
    ],
)
def test_overlap_is_intersection_over_union(one: tuple, other: tuple, value: float) -> None:
    assert overlap(one, other) == pytest.approx(value) and overlap(other, one) == pytest.approx(value)


def test_groups_of_boxes_are_assigned_one_to_one() -> None:
    far = (10.0, 10.0, 12.0, 12.0)
    assert overlap_of_all([UNIT, far], [far, UNIT]) == (1, 1)
    assert overlap_of_all([UNIT], [far, UNIT]) == (0.5, 0.5)
    assert overlap_of_all([UNIT, UNIT], [UNIT]) == (0.5, 0.5)
    mean, hits = overlap_of_all([(0, 0, 2, 1), far], [UNIT, far])
    assert (mean, hits) == (pytest.approx(0.75), 1)
