"""The consensus of captions against all pairs, one by one."""

import random

import numpy as np
import pytest

from tasks.evaluation.metrics.caption_consensus import best_captions, consensus_scores
from tasks.evaluation.metrics.cider import CiderSpace, similarity

WORDS = ["a", "the", "plane", "ship", "on", "of", "tree", "runway", "many", "road"]


def captions(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(0, 12))) for _ in range(count)]


def test_consensus_is_the_mean_over_all_other_captions_of_the_group() -> None:
    texts = [*captions(3, 60), "a plane on a plane on a plane", "the the the the"]
    documents = [*(captions(seed, 4) for seed in range(30)), texts]
    group = [*range(5), *range(120, 120 + len(texts))]
    space, flat = CiderSpace(documents), [text for document in documents for text in document]
    vectors = [space.vector(flat[number]) for number in group]
    pair_by_pair = [
        np.mean([similarity(one, other) for place, other in enumerate(vectors) if place != own])
        for own, one in enumerate(vectors)
    ]
    (scores,) = consensus_scores(documents, [group])
    assert list(scores) == pytest.approx(pair_by_pair, abs=1e-9)


def test_the_best_caption_does_not_depend_on_the_order() -> None:
    documents = [[text] for text in captions(5, 50)]
    forwards, backwards = best_captions(documents, [range(50), range(49, -1, -1)])
    assert forwards == backwards


def test_a_single_caption_is_its_own_consensus() -> None:
    assert best_captions([["a plane"]], [[0]]) == ["a plane"]


@pytest.mark.parametrize("texts", [["a plane", "the ship"], ["", ""]])
def test_captions_with_nothing_in_common_have_no_consensus(texts: list[str]) -> None:
    documents = [[text] for text in (*texts, "many")]
    (scores,) = consensus_scores(documents, [[0, 1]])
    assert scores.tolist() == [0, 0]
    assert best_captions(documents, [[0, 1]]) == [min(texts)]
