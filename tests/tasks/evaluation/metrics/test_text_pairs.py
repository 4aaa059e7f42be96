"""Texts paired with the references of their document."""

import numpy as np
import pytest

from tasks.evaluation.metrics import text_pairs
from tasks.evaluation.metrics.text_pairs import TextPairs, ranges

DOCUMENTS = [["a b", "b c", "a b"], ["c"], ["a a d", "d"]]
SAID = ["a b c", "", "d a d a"]


def test_each_hypothesis_is_paired_with_each_different_reference() -> None:
    pairs = TextPairs(DOCUMENTS, [SAID])
    found = [(pairs.texts[one], pairs.texts[other]) for one, other in zip(pairs.one, pairs.other, strict=True)]
    assert found == [("a b c", "a b"), ("a b c", "b c"), ("", "c"), ("d a d a", "a a d"), ("d a d a", "d")]


def test_among_references_each_is_paired_with_all_of_its_document() -> None:
    pairs = TextPairs(DOCUMENTS, [], among=True)
    found = [(pairs.texts[one], pairs.texts[other]) for one, other in zip(pairs.one, pairs.other, strict=True)]
    assert found[:5] == [("a b", "a b"), ("a b", "b c"), ("b c", "a b"), ("b c", "b c"), ("c", "c")]


def test_copies_count_again_in_the_mean() -> None:
    pairs = TextPairs(DOCUMENTS, [SAID])
    assert pairs.mean_over_references(np.array([3.0, 6, 1, 2, 4]), 0).tolist() == [4, 1, 3]


@pytest.mark.parametrize("block", [1, 2, 4096])
def test_shared_ngrams_are_summed_by_pair(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_pairs, "BLOCK", block)
    unigrams = next(TextPairs(DOCUMENTS, [SAID]).orders())
    counts = unigrams.rows.counts
    assert unigrams.sums(lambda one, other: 1.0 * counts[one] * counts[other]).tolist() == [2, 2, 0, 6, 2]


def test_frequency_is_the_number_of_documents_with_an_ngram() -> None:
    unigrams = next(TextPairs(DOCUMENTS, [SAID]).orders())
    # a and c are in two documents, b and d in one
    assert sorted(unigrams.frequency.tolist()) == [1, 1, 2, 2]


def test_ranges_follow_one_another() -> None:
    numbers, of_range = ranges(np.array([5, 2, 7]), np.array([7, 2, 8]))
    assert numbers.tolist() == [5, 6, 7]
    assert of_range.tolist() == [0, 0, 2]
