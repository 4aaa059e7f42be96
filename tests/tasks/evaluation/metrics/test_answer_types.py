"""Invalid answers and confusion tables."""

import pytest

from tasks.evaluation.metrics.answer_types import confusion_of, count_invalid, invalid_reason


@pytest.mark.parametrize(
    ("answer", "reference", "reason"),
    [
        ("yes", "no", None),
        ("", "no", "empty"),
        ("12", "no", "other_type"),
        ("rural", "yes", "other_type"),
        ("many", "12", "other_type"),
        ("urban", "rural", None),
        ("yes there is road in this image", "yes", "sentence"),
        ("long green field beside small river", "old grey road beside small river", None),
    ],
)
def test_an_invalid_answer_has_a_reason(answer: str, reference: str, reason: str | None) -> None:
    assert invalid_reason(answer, reference) == reason


def test_invalid_answers_are_counted_by_reason() -> None:
    pairs = [("", "yes"), ("", "5"), ("no", "5"), ("no", "yes")]
    assert count_invalid(pairs) == {"empty": 2, "sentence": 0, "other_type": 1}


def test_a_confusion_table_counts_every_answer_once() -> None:
    pairs = [("yes", "yes"), ("no", "yes"), ("no", "no"), ("", "no"), ("7", "no")]
    table = confusion_of(pairs, counts=False)
    assert table == {
        "no": {"no": 1, "yes": 0, "(empty)": 1, "(other_type)": 1},
        "yes": {"no": 1, "yes": 1, "(empty)": 0, "(other_type)": 0},
    }


def test_the_confusion_table_of_counts_is_by_bin_in_order_of_size() -> None:
    table = confusion_of([("3", "12"), ("0", "0"), ("5000", "12"), ("many", "0")], counts=True)
    assert list(table) == ["0", "11-100"]
    assert list(table["0"]) == ["0", "1-10", "more", "(other_type)"]
    assert table["11-100"] == {"0": 0, "1-10": 1, "more": 1, "(other_type)": 0}


def test_rare_answers_are_grouped_as_other() -> None:
    pairs = [(f"thing{n}", f"thing{n}") for n in range(40)]
    table = confusion_of(pairs, counts=False)
    assert len(table) == 13
    assert table["(other)"]["(other)"] == 28
    assert sum(sum(row.values()) for row in table.values()) == 40
