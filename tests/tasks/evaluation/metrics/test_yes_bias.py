"""Yes-rate, balanced accuracy, F1 and MCC, recomputed by hand."""

import random
from math import sqrt

import numpy as np
import pytest

from tasks.evaluation.metrics.yes_bias import yes_bias

CASES = [(0.5, 0.7), (0.9, 0.6), (0.2, 0.95), (0.7, 0.5)]


def drawn(share: float, right: float, others: float = 0.0) -> list[tuple[str, str]]:
    """500 (answer, reference) pairs with a share of yes and of right answers."""
    draw = random.Random(7)
    truths = ["yes" if draw.random() < share else "no" for _ in range(500)]
    swapped = {"yes": "no", "no": "yes"}
    answers = [truth if draw.random() < right else swapped[truth] for truth in truths]
    return [
        ("i do not know" if draw.random() < others else answer, truth)
        for answer, truth in zip(answers, truths, strict=True)
    ]


@pytest.mark.parametrize(("share", "right"), CASES)
def test_scores_are_those_of_the_four_counts(share: float, right: float) -> None:
    pairs = drawn(share, right)
    true_yes, false_yes = pairs.count(("yes", "yes")), pairs.count(("yes", "no"))
    true_no, false_no = pairs.count(("no", "no")), pairs.count(("no", "yes"))
    product = (true_yes + false_yes) * (true_yes + false_no) * (true_no + false_yes) * (true_no + false_no)
    assert yes_bias([*pairs, ("5", "8"), ("yes", "rural")]) == pytest.approx(
        {
            "questions": 500,
            "neither": 0,
            "true_yes_rate": (true_yes + false_no) / 500,
            "yes_rate": (true_yes + false_yes) / 500,
            "balanced_accuracy": (true_yes / (true_yes + false_no) + true_no / (true_no + false_yes)) / 2,
            "f1": 2 * true_yes / (2 * true_yes + false_yes + false_no),
            "mcc": (true_yes * true_no - false_yes * false_no) / sqrt(product),
        },
        abs=1e-12,
    )


@pytest.mark.parametrize(("share", "right"), CASES)
def test_an_answer_other_than_yes_or_no_is_wrong(share: float, right: float) -> None:
    pairs = drawn(share, right, others=0.2)
    found = yes_bias(pairs)
    assert found is not None and found["neither"] > 50
    recalls = [
        sum(pair == (word, word) for pair in pairs) / sum(truth == word for _, truth in pairs) for word in ("yes", "no")
    ]
    said = sum(answer == "yes" for answer, _ in pairs)
    true = sum(truth == "yes" for _, truth in pairs)
    assert found["balanced_accuracy"] == pytest.approx(sum(recalls) / 2, abs=1e-12)
    assert found["f1"] == pytest.approx(2 * pairs.count(("yes", "yes")) / (said + true), abs=1e-12)
    # the correlation of three indicator columns each (Gorodkin 2004)
    words = ("yes", "no", "i do not know")
    columns = [np.array([[pair[side] == word for word in words] for pair in pairs], dtype=float) for side in (0, 1)]
    answers, truths = (column - column.mean(axis=0) for column in columns)
    expected = (answers * truths).sum() / sqrt((answers**2).sum() * (truths**2).sum())
    assert found["mcc"] == pytest.approx(expected, abs=1e-12)


def test_what_is_undefined_is_none() -> None:
    assert yes_bias([("5", "8")]) is None
    always = yes_bias([("yes", "yes"), ("yes", "no")])
    assert always is not None
    assert (always["balanced_accuracy"], always["f1"], always["mcc"]) == (0.5, 2 / 3, None)
    one_kind = yes_bias([("yes", "yes"), ("no", "yes")])
    assert one_kind is not None
    assert (one_kind["balanced_accuracy"], one_kind["f1"], one_kind["mcc"]) == (None, 2 / 3, None)
    without_yes = yes_bias([("no", "no"), ("no", "no")])
    assert without_yes is not None
    assert (without_yes["yes_rate"], without_yes["balanced_accuracy"], without_yes["f1"]) == (0, None, None)
