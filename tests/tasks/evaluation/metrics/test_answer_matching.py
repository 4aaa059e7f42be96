"""When two answers are the same."""

import pytest

from tasks.evaluation.metrics.answer_matching import bin_of, normalise_answer, number_of, same_answer


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("Rural", "rural"),
        (" The rural area. ", "rural area"),
        ("Yes!", "yes"),
        ("a", "a"),
        ("eight", "8"),
        ("Twenty-one", "21"),
        ("ninety nine", "99"),
        ("twenty ten", "20 10"),
        ("None", "0"),
        ("1,000", "1000"),
        ("1,00", "1 00"),
        ("3.0", "3.0"),
        ("3.", "3"),
        (".5", ".5"),
        ("-5", "-5"),
        ("\u22125", "-5"),
        ("5-10", "5 10"),
        ("\uff15", "5"),
        ("don't", "dont"),
        ("a_b/c", "b c"),
        ("...", ""),
        ("\U0001f44d", ""),
        ("", ""),
        ("yes\u2028", "yes"),
        ("\u0645\u0637\u0627\u0631", "\u0645\u0637\u0627\u0631"),
    ],
)
def test_answers_are_normalised(text: str, normalised: str) -> None:
    assert normalise_answer(text) == normalised


@pytest.mark.parametrize(
    ("text", "number"),
    [("8", 8), ("8.5", 8.5), ("-3", -3), ("8 ships", None), ("yes", None), ("", None), ("9" * 16, None)],
)
def test_only_a_lone_number_is_a_number(text: str, number: float | None) -> None:
    assert number_of(text) == number


def test_equal_numbers_are_equal_answers() -> None:
    assert same_answer("8.0", "8")
    assert not same_answer("8", "9")


def test_an_empty_answer_is_never_right() -> None:
    assert not same_answer("", "")


def test_an_answer_with_further_words_is_wrong() -> None:
    assert not same_answer(normalise_answer("yes there is"), "yes")


@pytest.mark.parametrize("mark", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_a_line_separator_separates_words_and_is_dropped_at_the_end(mark: str) -> None:
    assert normalise_answer(f"rural{mark}area{mark}") == "rural area"


def test_an_answer_of_100000_characters_is_wrong_and_not_a_number() -> None:
    digits, words = normalise_answer("9" * 100_000), normalise_answer("no. " * 25_000)
    assert number_of(digits) is None
    assert not same_answer(words, "no")


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, 0), (1, 1), (10, 1), (11, 2), (100, 2), (101, 3), (1000, 3), (1001, 4), (-1, None)],
)
def test_counts_have_the_bins_of_rsvqa(number: float, expected: int | None) -> None:
    assert bin_of(number) == expected
