"""The fast CIDEr of the controls against pycocoevalcap, and the consensus against all pairs."""

import random

import numpy as np
import pytest

from tasks.evaluation.metrics.caption_consensus import best_caption, consensus_scores
from tasks.evaluation.metrics.cider import CiderSpace, mean_similarity, similarity

WORDS = ["a", "the", "plane", "ship", "on", "of", "tree", "runway", "many", "road"]


def captions(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(0, 12))) for _ in range(count)]


def test_values_equal_pycocoevalcaps_cider() -> None:
    from pycocoevalcap.cider.cider import Cider

    said = captions(1, 40)
    documents = [captions(seed, 1 + seed % 5) for seed in range(2, 42)]
    _, theirs = Cider().compute_score(dict(enumerate(documents)), {k: [text] for k, text in enumerate(said)})
    space = CiderSpace(documents)
    ours = [
        mean_similarity(space.vector(text), [space.vector(reference) for reference in group])
        for text, group in zip(said, documents, strict=True)
    ]
    assert ours == pytest.approx(list(theirs), abs=1e-9)


def test_consensus_is_the_mean_over_all_other_captions() -> None:
    texts = [*captions(3, 60), "a plane on a plane on a plane", "the the the the"]
    space = CiderSpace(captions(seed, 4) for seed in range(30))
    vectors = [space.vector(text) for text in texts]
    pair_by_pair = [
        np.mean([similarity(one, other) for place, other in enumerate(vectors) if place != own])
        for own, one in enumerate(vectors)
    ]
    assert list(consensus_scores(space, texts)) == pytest.approx(pair_by_pair, abs=1e-9)


def test_the_best_caption_does_not_depend_on_the_order() -> None:
    texts = captions(5, 50)
    space = CiderSpace([text] for text in texts)
    assert best_caption(space, texts) == best_caption(space, texts[::-1])


def test_a_single_caption_is_its_own_consensus() -> None:
    assert best_caption(CiderSpace([["a plane"]]), ["a plane"]) == "a plane"


@pytest.mark.parametrize("texts", [["a plane", "the ship"], ["", ""]])
def test_captions_with_nothing_in_common_have_no_consensus(texts: list[str]) -> None:
    space = CiderSpace([[text] for text in (*texts, "many")])
    assert consensus_scores(space, texts).tolist() == [0, 0]
    assert best_caption(space, texts) == min(texts)
