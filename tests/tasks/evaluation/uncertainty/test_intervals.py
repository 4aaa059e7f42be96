"""Confidence intervals over images: of means, corpus scores and proportions."""

import numpy as np
import pytest
from scipy.stats import t

from tasks.evaluation.uncertainty.intervals import (
    RIGHT_SKEWED,
    Range,
    expected_correlation,
    proportion_interval,
    score_interval,
)


def test_interval_of_symmetric_values_is_students() -> None:
    values = np.array([-3.0, -1.0, 0.0, 1.0, 3.0])
    half = t.ppf(0.975, 4) * np.std(values, ddof=1) / np.sqrt(5)
    assert score_interval(values) == pytest.approx([-half, half])


def test_interval_of_right_skewed_values_reaches_further_up() -> None:
    values = np.array([0.1, 0.2, 0.2, 0.3, 0.4, 0.9, 4.0])
    low, high = score_interval(values) or []
    half = t.ppf(0.975, 6) * np.std(values, ddof=1) / np.sqrt(7)
    assert high - values.mean() > 1.5 * half and values.mean() - low == pytest.approx(half)


def test_interval_stays_in_the_range_of_the_metric() -> None:
    assert score_interval(np.array([0.0, 0.0, 0.1, 9.0]), Range(0, 10), RIGHT_SKEWED) == [0, 10]


@pytest.mark.parametrize("values", [[1.0], [0.5, 0.5, 0.5]])
def test_a_single_image_and_equal_scores_have_no_interval(values: list[float]) -> None:
    assert score_interval(np.array(values)) is None


def test_one_question_per_image_gives_wilsons_interval() -> None:
    # Wilson 1927 for 6 of 6 and 7 of 10
    assert proportion_interval(np.ones(6), np.ones(6)) == pytest.approx([0.60966571, 1.0])
    right = np.array([1.0] * 7 + [0.0] * 3)
    assert proportion_interval(right, np.ones(10)) == pytest.approx([0.39677815, 0.89220867])


def test_questions_about_one_image_count_less_if_they_are_answered_alike() -> None:
    asked = np.full(10, 10.0)
    even, alike = np.full(10, 7.0), np.array([10.0] * 7 + [0.0] * 3)
    widths = [high - low for low, high in (proportion_interval(each, asked) or [] for each in (even, alike))]
    assert widths[1] > 2.5 * widths[0]
    assert expected_correlation(alike, asked) > 0.8 > 0.1 > expected_correlation(even, asked)


@pytest.mark.parametrize(("right", "end"), [(0.0, 0), (5.0, 1)])
def test_the_edge_of_all_or_none_right_is_in_the_interval(right: float, end: int) -> None:
    found = proportion_interval(np.full(7, right), np.full(7, 5.0))
    assert found is not None and found[end] == end and 0.05 < found[1] - found[0] < 0.4


def test_one_image_has_no_interval_of_its_proportion() -> None:
    assert proportion_interval(np.array([3.0]), np.array([4.0])) is None
