"""The paired test: levels, agreement of interval and p-value, and edges."""

import numpy as np
import pytest

from tasks.evaluation.uncertainty.paired import objective_test, paired_test

SHAPES = {
    "symmetric": lambda random, images: random.normal(0, 1, images),
    "rare large losses": lambda random, images: 0.5 - random.exponential(0.5, images),
    "right or wrong": lambda random, images: random.choice([-1.0, 0.0, 0.0, 1.0], images),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("images", [6, 9, 40])
def test_interval_excludes_0_if_and_only_if_p_is_below_5_percent(shape: str, images: int) -> None:
    random = np.random.default_rng(images)
    outcomes = set()
    for shift in np.linspace(-1.5, 1.5, 61):
        found = paired_test(SHAPES[shape](random, images) + shift)
        assert found.interval is not None
        excludes = not found.interval[0] <= 0 <= found.interval[1]
        assert excludes == (found.p_value < 0.05)
        outcomes.add(excludes)
    assert outcomes == {True, False}


def test_claims_in_both_directions_are_mirrored() -> None:
    values = np.random.default_rng(3).gamma(1, 1, 12) - 0.4
    one, other = paired_test(values), paired_test(-values)
    assert (one.gain, one.loss, one.p_value) == pytest.approx((other.loss, other.gain, other.p_value))
    assert one.interval == pytest.approx([-each for each in reversed(other.interval or [])])


def test_units_do_not_matter() -> None:
    values = np.random.default_rng(4).normal(0.3, 1, 15)
    one, other = paired_test(values), paired_test(100 * values)
    assert one.p_value == pytest.approx(other.p_value)
    assert np.multiply(100, one.interval or []) == pytest.approx(other.interval)


@pytest.mark.parametrize("values", [[1.0] * 5, [0.0] * 50, [3.0, -1.0]])
def test_few_images_and_equal_models_are_never_told_apart(values: list[float]) -> None:
    found = paired_test(np.array(values))
    assert (found.interval, found.p_value) == (None, 1.0)


def test_six_of_six_against_none_of_six_is_a_sign_test() -> None:
    found = paired_test(np.ones(6))
    assert found.p_value == 2 / 64 and found.interval == pytest.approx([0.21933142, 1.0])


def test_six_of_six_against_five_of_six_shows_nothing() -> None:
    assert paired_test(np.array([1.0, 0, 0, 0, 0, 0])).p_value > 0.3


def test_no_p_value_is_below_that_of_the_sign_test() -> None:
    found = paired_test(np.array([1, 1, 1, 1, 1, 1 + 1e-6]))
    assert found.p_value == pytest.approx(2 / 64)


@pytest.mark.parametrize("images", [10, 20, 50])
def test_level_holds_for_rare_large_losses(images: int) -> None:
    # the sign-flip test says "better" in 16, 11 and 6 % of these
    random = np.random.default_rng(images)
    found = [paired_test(1 - random.exponential(1, images)) for _ in range(3000)]
    assert np.mean([each.gain < 0.025 for each in found]) < 0.045
    assert np.mean([each.loss < 0.025 for each in found]) < 0.03


def test_power_on_fifty_images_is_nearly_students() -> None:
    random = np.random.default_rng(5)
    found = [paired_test(random.normal(0.42, 1, 50)).p_value < 0.05 for _ in range(1000)]
    assert np.mean(found) > 0.78


def test_objective_of_one_source_is_its_own_test() -> None:
    values = np.random.default_rng(6).normal(0.2, 1, 30)
    one, all_of_it = paired_test(values), objective_test({"LR": values}, {"LR": 0.5})
    assert one.p_value == pytest.approx(all_of_it.p_value)
    assert np.divide(one.interval or [], 0.5) == pytest.approx(all_of_it.interval)


def test_objective_does_not_depend_on_a_sources_unit() -> None:
    random = np.random.default_rng(7)
    captions, answers = random.gamma(1, 2, 40) - 1.5, random.normal(0.05, 0.3, 25)
    one = objective_test({"NWPU": captions, "LR": answers}, {"NWPU": 0.3, "LR": 0.05})
    other = objective_test({"NWPU": captions * 100, "LR": answers}, {"NWPU": 30, "LR": 0.05})
    assert one.p_value == pytest.approx(other.p_value) and one.interval == pytest.approx(other.interval)


def test_scores_that_differ_by_rounding_are_equal() -> None:
    found = paired_test(np.full(20, 1e-16))
    assert (found.p_value, found.interval) == (1, None)
