"""Calibration against values counted by hand."""

import random

import pytest

from tasks.evaluation.metrics.calibration import calibration

SEED = 28


def drawn(count: int) -> list[tuple[float, bool]]:
    """Answers whose probability is a little too high, some with equal probabilities."""
    numbers = random.Random(SEED)
    probabilities = [round(numbers.random(), 2) for _ in range(count)]
    return [(probability, numbers.random() < probability**1.5) for probability in probabilities]


def test_ece_is_the_mean_gap_over_15_bins_each_with_its_upper_edge() -> None:
    # of the bins up to 1/15, 0.2 and 1
    found = calibration([(0.0, False), (0.05, True), (0.2, False), (0.14, True), (1.0, True), (0.95, True)])
    assert found is not None
    assert [(each["answers"], each["accuracy"]) for each in found["bins"]] == [(2, 0.5), (2, 0.5), (2, 1.0)]
    assert [each["probability"] for each in found["bins"]] == pytest.approx([0.025, 0.17, 0.975])
    assert found["ECE"] == pytest.approx((2 * 0.475 + 2 * 0.33 + 2 * 0.025) / 6, abs=1e-12)
    assert found["answers"] == 6


def test_ece_and_auroc_equal_a_recount_over_all_answers_and_pairs() -> None:
    answers = drawn(500)
    found = calibration(answers)
    assert found is not None
    gap = 0.0
    for number in range(15):
        # in hundredths, so that no edge is rounded
        inside = [
            (p, right) for p, right in answers if 100 * number < 15 * round(100 * p) <= 100 * (number + 1)
            or (number == 0 and p == 0)
        ]  # fmt: skip
        gap += abs(sum(right for _, right in inside) - sum(p for p, _ in inside))
    assert found["ECE"] == pytest.approx(gap / 500, abs=1e-12)
    pairs = [(p, q) for p, right in answers if right for q, other in answers if not other]
    wins = sum(1.0 if p > q else 0.5 if p == q else 0.0 for p, q in pairs)
    assert found["AUROC"] == pytest.approx(wins / len(pairs), abs=1e-12)


@pytest.mark.parametrize("right", [True, False])
def test_auroc_needs_right_and_wrong_answers(right: bool) -> None:
    found = calibration([(0.9, right), (0.4, right)])
    assert found is not None and found["AUROC"] is None


def test_there_is_no_calibration_without_probabilities() -> None:
    assert calibration([]) is None
