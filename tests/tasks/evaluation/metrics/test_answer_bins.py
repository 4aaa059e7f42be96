"""Bins of counts and areas, read from numbers and from words."""

import random

import pytest

from tasks.evaluation.metrics.answer_bins import bin_of_answer, quantity_of


def rsvqa_label(answer: str, range_numbers: bool) -> str:
    """The answer class of RSVQA's own code for one token: a recomputation of its VocabEncoder.py."""
    unit = "m2" if answer.endswith("m2") else ""
    if not unit and not range_numbers:
        return answer
    number = int(answer.removesuffix("m2"))
    for low, high in ((0, 10), (10, 100), (100, 1000)):
        if low < number <= high:
            return f"between {low}{unit} and {high}{unit}"
    return f"more than 1000{unit}" if number > 1000 else answer


def test_numbers_and_classes_of_rsvqa_have_the_bins_of_its_code() -> None:
    draw = random.Random(3)
    numbers = [0, 1, 10, 11, 100, 101, 1000, 1001, *(int(10 ** draw.uniform(0, 4)) for _ in range(300))]
    for unit in ("", "m2"):
        bins = {rsvqa_label(f"{number}{unit}", True): bin_of_answer(f"{number}{unit}") for number in numbers}
        assert len(bins) == len(set(bins.values())) == 5 and None not in bins.values()
        for number in numbers:
            label = rsvqa_label(f"{number}{unit}", True)
            assert bin_of_answer(f"{number}{unit}") == bin_of_answer(label) == bins[label]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("between 11 and 100", ("", 2)),
        ("Between 1 and 10.", ("", 1)),
        ("between one and ten", ("", 1)),
        ("101-1000", ("", 3)),
        ("101\u20131000", ("", 3)),
        ("from 11 to 100", ("", 2)),
        ("between 20 and 50", ("", 2)),
        ("more than 1,000", ("", 4)),
        ("over 1000", ("", 4)),
        (">1000", ("", 4)),
        ("eight", ("", 1)),
        ("0 m2", ("m2", 0)),
        ("1,250 m\u00b2", ("m2", 4)),
        ("12 square meters", ("m2", 2)),
        ("between 10m2 and 100m2", ("m2", 2)),
        ("between 101 and 1000 m2", ("m2", 3)),
        ("more than 1000 m2", ("m2", 4)),
    ],
)
def test_a_lone_count_area_or_range_has_a_bin(text: str, found: tuple[str, int]) -> None:
    assert bin_of_answer(text) == found


@pytest.mark.parametrize(
    "text",
    [
        *("", "yes", "many", "-5", ".5", "5 10", "8 ships", "about 47", "between 5 and 50", "more than 500"),
        *("between 100 and 11", "47 and more than 1000", "9" * 400, "between 11 and 100" + " " * 200),
    ],
)
def test_anything_else_has_no_bin(text: str) -> None:
    assert bin_of_answer(text) is None


def test_a_quantity_has_its_bounds() -> None:
    found = [quantity_of(text) for text in ("between 20m2 and 30m2", "more than 7", "3.5")]
    assert [(each.low, each.high, each.unit) for each in found if each] == [
        (20, 30, "m2"),
        (7, float("inf"), ""),
        (3.5, 3.5, ""),
    ]
