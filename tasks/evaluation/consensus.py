"""The consensus of many captions: each one's mean CIDEr against all others, exact and in linear time.

Pair by pair, the 157,000 training captions of NWPU would take 550 million comparisons. But an n-gram adds to
a caption's sum only by its own count and by the lengths of the captions that share it, so the captions of one
length are summed up once for each n-gram.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tasks.evaluation.cider import ORDERS, SCALE, CaptionVector, CiderSpace, NGram, length_penalty, similarity

CountedNGram = tuple[NGram, int]


def consensus_scores(space: CiderSpace, captions: Sequence[str]) -> "np.ndarray":
    """Mean CIDEr of each caption as hypothesis against all the others as references; 0 for a single caption."""
    if len(captions) < 2:
        return np.zeros(len(captions))
    vectors = [space.vector(caption) for caption in captions]
    lengths = {length: index for index, length in enumerate(sorted({vector.length for vector in vectors}))}
    keys, shares = _shares(space, vectors, lengths)
    penalties = np.array([[length_penalty(one - other) for other in lengths] for one in lengths])
    # for each length of a hypothesis, n-gram and count in it: what all references give together
    given = (shares @ penalties).T.tolist()
    sums = [
        _sum_over_all(space, vector, keys, given[lengths[vector.length]]) - similarity(vector, vector)
        for vector in vectors
    ]
    return np.array(sums) / (len(captions) - 1)


def best_caption(space: CiderSpace, captions: Sequence[str]) -> str:
    """The caption with the highest consensus; of equal ones the first in the alphabet."""
    scores = consensus_scores(space, captions)
    # rounded, because the same captions in another order differ in the last bits
    return min(zip(-np.round(scores, 9), captions, strict=True))[1]


def _counts(space: CiderSpace, vector: CaptionVector, order: int) -> list[tuple[NGram, int]]:
    return [
        (ngram, round(weight / idf)) for ngram, weight in vector.weights[order].items() if (idf := space.idf(ngram))
    ]


def _shares(
    space: CiderSpace, vectors: Sequence[CaptionVector], lengths: dict[int, int]
) -> tuple[dict[CountedNGram, int], "np.ndarray"]:
    """Rows of (n-gram, count in a hypothesis), and for each row the references' sums by length.

    A reference adds min(count, its count) x its count / its norm.
    """
    by_count: dict[NGram, dict[int, np.ndarray]] = defaultdict(dict)
    for vector in vectors:
        for order in range(ORDERS):
            for ngram, count in _counts(space, vector, order):
                row = by_count[ngram].setdefault(count, np.zeros(len(lengths)))
                row[lengths[vector.length]] += 1 / vector.norms[order]
    keys = {key: row for row, key in enumerate((ngram, own) for ngram, rows in by_count.items() for own in rows)}
    sums = [
        np.sum([min(own, count) * count * row for count, row in by_count[ngram].items()], axis=0) for ngram, own in keys
    ]
    return keys, np.array(sums).reshape(len(keys), len(lengths))


def _sum_over_all(
    space: CiderSpace, vector: CaptionVector, keys: dict[CountedNGram, int], given: Sequence[float]
) -> float:
    total = 0.0
    for order in range(ORDERS):
        for ngram, count in _counts(space, vector, order):
            total += space.idf(ngram) ** 2 * given[keys[ngram, count]] / vector.norms[order]
    return SCALE * total / ORDERS
