"""Diversity and length of captions, counted by hand."""

import pytest

from tasks.evaluation.metrics.caption_diversity import caption_diversity


def test_distinct_n_is_the_number_of_different_ngrams_per_token() -> None:
    # 7 tokens: a, plane, and, ship; a plane, plane and, and a, a ship
    found = caption_diversity(["a plane and a ship", "a plane", ""], [["x"], ["x"], ["x"]])
    assert found["distinct-1"] == pytest.approx(4 / 7, abs=1e-12)
    assert found["distinct-2"] == pytest.approx(4 / 7, abs=1e-12)


def test_ngrams_do_not_cross_captions() -> None:
    # 6 tokens; a road, road here
    found = caption_diversity(["a road here", "road here", "a"], [["x"], ["x"], ["x"]])
    assert (found["distinct-1"], found["distinct-2"]) == (pytest.approx(3 / 6), pytest.approx(2 / 6))


def test_one_caption_for_all_has_little_diversity() -> None:
    found = caption_diversity(["many green trees"] * 100, [["x"]] * 100)
    assert (found["distinct-1"], found["distinct-2"]) == (pytest.approx(0.01), pytest.approx(2 / 300))


def test_lengths_count_empty_answers_and_all_references() -> None:
    references = [["a b c d", "a b c d", "a"], ["a b"], ["a b c d e f g h i"]]
    found = caption_diversity(["a plane and a ship", "a plane", ""], references)
    assert (found["mean_length"], found["median_length"]) == (pytest.approx(7 / 3), 2)
    assert (found["reference_mean_length"], found["reference_median_length"]) == (4, 4)


def test_diversity_is_null_without_a_token() -> None:
    found = caption_diversity(["", ""], [["a"], ["b"]])
    assert (found["distinct-1"], found["distinct-2"], found["mean_length"]) == (None, None, 0)
