"""Bootstrap intervals and permutation tests, against known values."""

import math

import numpy as np
import pytest

from tasks.evaluation.metrics.bootstrap import (
    bootstrap_scores,
    holm,
    image_weights,
    images_needed,
    mean_interval,
    permutation_p_value,
    ratio_interval,
    ratio_score,
)


def test_every_draw_has_as_many_images_as_the_test_set() -> None:
    weights = np.concatenate(list(image_weights(images=7, draws=150, seed=1)))
    assert weights.shape == (150, 7)
    assert (weights.sum(axis=1) == 7).all()


def test_draws_equal_a_loop_over_images() -> None:
    values = np.random.default_rng(3).random((9, 2))
    drawn = bootstrap_scores(values, ratio_score, 70, seed=5)
    looped = [
        (values[:, 0] * row).sum() / (values[:, 1] * row).sum()
        for chunk in image_weights(9, 70, seed=5)
        for row in chunk
    ]
    assert drawn == pytest.approx(looped)


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide() -> None:
    values = np.random.default_rng(1).normal(10, 2, 400)
    low, high = mean_interval(values, 2000, seed=1) or (0, 0)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_all_answers_of_an_image_are_drawn_together() -> None:
    # 2 images of 50 answers each: as uncertain as 2 answers, not as 100
    assert ratio_interval(np.array([[50.0, 50.0], [0.0, 50.0]]), 500, seed=1) == [0, 1]


def test_the_interval_depends_on_the_seed_only() -> None:
    values = np.random.default_rng(1).random(30)
    assert mean_interval(values, 100, seed=1) == mean_interval(values, 100, seed=1)
    assert mean_interval(values, 100, seed=1) != mean_interval(values, 100, seed=2)


def test_no_draws_give_no_interval() -> None:
    assert mean_interval(np.ones(3), 0, seed=1) is None


def test_the_p_value_is_the_share_of_sign_flips_that_reach_the_difference() -> None:
    # of the 2^4 signs of four equal differences, two reach the observed sum
    assert permutation_p_value(np.ones(4), 20_000, seed=1) == pytest.approx(2 / 16, abs=0.01)


def test_no_p_value_is_zero() -> None:
    assert permutation_p_value(np.arange(1.0, 60.0), 200, seed=1) == 1 / 201


def test_no_difference_has_p_value_one() -> None:
    assert permutation_p_value(np.zeros(10), 200, seed=1) == 1


def test_a_large_difference_needs_few_images_and_a_small_one_many() -> None:
    draw = np.random.default_rng(2)
    noise = draw.normal(0, 1, 400)
    noise -= noise.mean()
    # (1.96 + 0.84)^2 times the variance over the squared difference
    deviation = noise.std(ddof=1)
    assert images_needed(noise + 0.1) == math.ceil((2.801585 * deviation / 0.1) ** 2)
    assert images_needed(noise * 0.001 + 1) == 6


def test_images_needed_is_none_without_a_difference() -> None:
    assert images_needed(np.zeros(10)) is None
    assert images_needed(np.ones(1)) is None


def test_holms_correction_on_a_textbook_case() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.7, 0.9]) == [1, 1]
