"""Families of tests: Holm against a fixed reference, the range test against the best."""

import numpy as np
import pytest

from tasks.evaluation.uncertainty.families import holm, objective_worse_than_best, worse_than_best
from tasks.evaluation.uncertainty.selection import chosen_point


def points(random: np.random.Generator, images: int, count: int) -> np.ndarray:
    """Equal points: skewed scores of images that all points have in common, and noise of each point."""
    return random.gamma(0.7, 2.5, (images, 1)) * random.gamma(4, 0.25, (images, count))


def test_holm_is_that_of_the_paper() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_nothing_is_better_than_the_best() -> None:
    values = points(np.random.default_rng(1), 30, 6)
    [p_values] = worse_than_best([values], 1)
    assert p_values[values.mean(axis=0).argmax()] == 1 and p_values.min() > 1e-4


def test_a_much_worse_point_is_found_among_a_hundred() -> None:
    values = points(np.random.default_rng(2), 40, 100)
    values[:, 17] -= 1.2
    [p_values] = worse_than_best([values], 1)
    assert p_values[17] < 0.01 and np.delete(p_values, 17).min() > 0.05


@pytest.mark.parametrize(("sources", "count"), [(1, 8), (1, 100), (4, 8)])
def test_equal_points_get_a_verdict_in_five_percent_of_sweeps(sources: int, count: int) -> None:
    random = np.random.default_rng(sources * count)
    found = [
        min(each.min() for each in worse_than_best([points(random, 25, count) for _ in range(sources)], draw))
        for draw in range(200)
    ]
    # three standard errors above 5 %
    assert np.mean(np.array(found) < 0.05) < 0.096


def test_objective_of_one_source_has_the_order_of_its_scores() -> None:
    values = points(np.random.default_rng(3), 30, 4)
    values[:, 2] -= 2
    p_values = objective_worse_than_best({"LR": values}, {"LR": 0.1}, 1)
    assert p_values.argmin() == 2 and p_values[values.mean(axis=0).argmax()] == 1


def test_equal_answers_are_a_tie() -> None:
    same = np.repeat(np.arange(8.0)[:, None], 3, axis=1)
    assert worse_than_best([same], 1)[0].tolist() == [1, 1, 1]


def test_a_point_that_is_wrong_on_every_image_is_worse_only_with_enough_images() -> None:
    # without image effects the residuals are 0, or differ from 0 by rounding
    for right in ([1.0, 1, 0], [1, 1, 0, 0]):
        [few], [enough] = (worse_than_best([np.tile(right, (images, 1))], 1) for images in (5, 6))
        assert few.tolist() == [1] * len(right)
        assert enough.tolist() == [1 if value else 2**-5 for value in right]


def test_the_score_of_the_best_of_equal_points_is_corrected() -> None:
    random = np.random.default_rng(4)
    true, excess = 0.7 * 2.5, []
    for draw in range(60):
        values = true + random.normal(0, 1, (50, 30))
        found = chosen_point(values, draw)
        assert found.score == values.mean(axis=0).max() and found.corrected <= found.score
        excess.append((found.score - true, found.corrected - true))
    plain, corrected = np.mean(excess, axis=0)
    # in units of a point's standard error, 1 / sqrt(50)
    assert plain * np.sqrt(50) > 1.8 and abs(corrected * np.sqrt(50)) < 0.35


def test_a_single_point_is_not_corrected() -> None:
    found = chosen_point(np.arange(5.0)[:, None], 1)
    assert found == (0, 2.0, 2.0)


@pytest.mark.parametrize(("images", "p_value"), [(6, 2**-5), (7, 2**-6), (40, 1 / 2001)])
def test_points_that_differ_alike_on_all_images_have_the_p_value_of_the_sign_test(images: int, p_value: float) -> None:
    values = np.array([[0.9, 0.8, 0.7]] * images)
    [single] = worse_than_best([values], 1)
    both = objective_worse_than_best({"NWPU": values}, {"NWPU": 0.1}, 1)
    assert list(single) == list(both) == [1, pytest.approx(p_value), pytest.approx(p_value)]


def test_points_that_differ_by_rounding_are_equal() -> None:
    values = np.array([[0.5, 0.5 + 1e-16, 0.5]] * 20)
    assert min(worse_than_best([values], 1)[0]) == min(objective_worse_than_best({"a": values}, {"a": 0.1}, 1)) == 1
