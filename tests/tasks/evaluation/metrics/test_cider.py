"""CIDEr one by one and of all pairs at once against pycocoevalcap."""

import random

import numpy as np
import pytest

from tasks.evaluation.metrics.cider import CiderSpace, mean_similarity, packaged_scores, pair_similarities
from tasks.evaluation.metrics.text_pairs import TextPairs

WORDS = ["a", "the", "plane", "ship", "on", "of", "tree", "runway", "many", "road"]


def captions(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(0, 12))) for _ in range(count)]


SAID = [*captions(1, 40), "", "a plane " * 400, "nothing like it", "a a a a"]
DOCUMENTS = [captions(seed, 1 + seed % 5) for seed in range(2, 2 + len(SAID))]
# copies count again
DOCUMENTS[3] = DOCUMENTS[3] * 2


def each_by_pycocoevalcap() -> list[float]:
    from pycocoevalcap.cider.cider import Cider

    _, each = Cider().compute_score(dict(enumerate(DOCUMENTS)), {k: [text] for k, text in enumerate(SAID)})
    return [float(value) for value in each]


def test_one_by_one_the_values_are_close_to_pycocoevalcaps() -> None:
    space = CiderSpace(DOCUMENTS)
    ours = [
        mean_similarity(space.vector(text), [space.vector(reference) for reference in group])
        for text, group in zip(SAID, DOCUMENTS, strict=True)
    ]
    assert ours == pytest.approx(each_by_pycocoevalcap(), abs=1e-9)


def test_reported_values_equal_pycocoevalcaps_to_the_last_bit() -> None:
    assert packaged_scores(TextPairs(DOCUMENTS, [SAID])).tolist() == each_by_pycocoevalcap()


def test_pairs_have_the_values_of_one_by_one_under_the_same_frequency() -> None:
    space, pairs = CiderSpace(DOCUMENTS), TextPairs(DOCUMENTS, [SAID, SAID[::-1]], among=True)
    ours = [
        [
            mean_similarity(space.vector(text), list(map(space.vector, group)))
            for text, group in zip(said, DOCUMENTS, strict=True)
        ]
        for said in (SAID, SAID[::-1])
    ]
    all_pairs = pair_similarities(pairs)
    assert [pairs.mean_over_references(all_pairs, number) for number in range(2)] == pytest.approx(np.array(ours))
