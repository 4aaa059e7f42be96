"""One value per image, and the transformation that removes skewness."""

import numpy as np
import pytest

from tasks.evaluation.uncertainty.moments import hall, hall_inverse, moments_of, pseudo_values, residuals_of_points


def mean_of(sums: np.ndarray) -> np.ndarray:
    return sums[:, 0] / sums[:, 1]


def test_pseudo_values_of_a_mean_are_the_values() -> None:
    values = np.array([0.0, 2.0, 2.5, 7.0])
    assert pseudo_values(np.stack([values, np.ones(4)], axis=1), mean_of) == pytest.approx(values)


def test_pseudo_values_of_a_ratio_are_computed_without_each_image() -> None:
    right, asked = np.array([3.0, 1.0, 0.0]), np.array([4.0, 1.0, 2.0])
    found = pseudo_values(np.stack([right, asked], axis=1), mean_of)
    by_hand = [3 * 4 / 7 - 2 * (4 - right[index]) / (7 - asked[index]) for index in range(3)]
    assert found == pytest.approx(by_hand)


def test_moments_are_those_of_the_textbook() -> None:
    values = np.array([1.0, 2.0, 2.0, 5.0])
    found = moments_of(values)
    assert (found.images, found.mean) == (4, 2.5)
    assert found.error == pytest.approx(np.std(values, ddof=1) / 2)
    # G1 of 1, 2, 2, 5
    second, third = np.mean((values - 2.5) ** 2), np.mean((values - 2.5) ** 3)
    assert found.skewness == pytest.approx(third / second**1.5 * np.sqrt(12) / 2)


@pytest.mark.parametrize("values", [[0.3], [0.1 + 0.2, 0.3, 0.3]])
def test_a_single_image_and_equal_values_have_no_error(values: list[float]) -> None:
    assert moments_of(np.array(values))[2:] == (0.0, 0.0)


@pytest.mark.parametrize("skewness", [-0.9, -1e-12, 0.0, 0.4, 2.0])
def test_the_transformation_is_inverted(skewness: float) -> None:
    for studentised in (-8.0, -0.5, 0.0, 3.0):
        assert hall_inverse(hall(studentised, skewness), skewness) == pytest.approx(studentised, abs=1e-6)


def test_residuals_have_no_effect_of_image_or_point() -> None:
    values = np.arange(4.0)[:, None] * 10 + np.array([0.0, 3.0, -1.0])
    residuals, error = residuals_of_points(values)
    assert residuals == pytest.approx(np.zeros((4, 3))) and error == pytest.approx(0)
