"""CIDEr of the reference scripts, against values computed by hand from its definition."""

import math
from typing import Any

import pytest

from tasks.evaluation.reference_cider import score_by_reference_protocol

A, B, C = "RSICD/images/a_1.jpg", "RSICD/images/b_1.jpg", "LR/Train/1.tif"


def test_an_answer_equal_to_its_only_reference_scores_ten(paired: Any, captions_of: Any) -> None:
    test = [captions_of(A, ["one two three four"]), captions_of(B, ["five six seven eight"])]
    scores = score_by_reference_protocol(paired(test, test))
    assert scores == {"records": 2, "CIDEr": pytest.approx(10), "CIDEr_nonzero": pytest.approx(10)}


def test_a_shared_word_gives_the_cosine_of_its_order_alone(paired: Any, captions_of: Any) -> None:
    test = [captions_of(A, ["x y", "x z"]), captions_of(B, ["p q"])]
    said = [captions_of(A, ["x x w"]), captions_of(B, ["r s"])]
    # idf of all words is log 2; unigram vectors (2, 1) of x, w against (1, 1): cosine 2 / (sqrt 5 sqrt 2), for both
    # references alike; no bigram is shared; mean over four orders, times ten
    expected = 10 * (2 / math.sqrt(10)) / 4
    scores = score_by_reference_protocol(paired(test, said))
    assert scores["CIDEr_nonzero"] == pytest.approx(expected)
    assert scores["CIDEr"] == pytest.approx(expected / 2)


def test_a_repeated_word_is_neither_clipped_nor_penalised_for_length(paired: Any, captions_of: Any) -> None:
    test = [captions_of(A, ["x"]), captions_of(B, ["p"])]
    said = [captions_of(A, [" ".join(["x"] * 50)]), captions_of(B, ["p"])]
    # the repeated word has the direction of its reference; the bigrams "x x" have no partner
    assert score_by_reference_protocol(paired(test, said))["CIDEr"] == pytest.approx(10 / 4)


def test_tokens_are_separated_by_whitespace_and_keep_their_case(paired: Any, captions_of: Any) -> None:
    test = [captions_of(A, ["plane."]), captions_of(B, ["ship"])]
    said = [captions_of(A, ["plane"]), captions_of(B, ["Ship"])]
    assert score_by_reference_protocol(paired(test, said)) == {"records": 2, "CIDEr": 0, "CIDEr_nonzero": None}


def test_all_answers_of_a_vqa_record_are_references_of_the_first_question(paired: Any, record: Any) -> None:
    test = [record(C, [("Is there a road?", "yes"), ("How many?", "3")]), record("LR/Train/2.tif", [("Is it?", "no")])]
    said = [record(C, [("Is there a road?", "3"), ("How many?", "9")]), record("LR/Train/2.tif", [("Is it?", "yes")])]
    # "3" equals the second of two references: unigram cosines 0 and 1
    assert score_by_reference_protocol(paired(test, said))["CIDEr_nonzero"] == pytest.approx(10 * 0.5 / 4)


def test_a_word_in_every_record_has_weight_zero(paired: Any, record: Any) -> None:
    test = [record(C, [("Is it?", "yes")]), record("LR/Train/2.tif", [("Is it?", "yes")])]
    assert score_by_reference_protocol(paired(test, test)) == {"records": 2, "CIDEr": 0, "CIDEr_nonzero": None}


def test_the_score_does_not_depend_on_the_order_of_records(paired: Any, captions_of: Any) -> None:
    test = [captions_of(f"RSICD/images/a_{n}.jpg", [f"one {n} two", f"two {n % 3}"]) for n in range(9)]
    said = [captions_of(f"RSICD/images/a_{n}.jpg", [f"two {n} one"]) for n in range(9)]
    forwards = score_by_reference_protocol(paired(test, said))
    assert score_by_reference_protocol(paired(test[::-1], said[::-1])) == forwards
