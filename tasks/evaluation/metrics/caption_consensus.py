"""Consensus of many captions: the mean CIDEr of each against all others, exact and in linear time.

Pairwise, the 157,000 training captions of NWPU would take 550 million comparisons. But the contribution of an n-gram
to a caption's sum depends only on its count and on the lengths of the captions that share it, so captions of one
length are summed once per n-gram. Most n-grams occur in a single caption; they contribute nothing and are not kept.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from tasks.evaluation.metrics.cider import (
    ORDERS,
    SCALE,
    CaptionVector,
    CiderSpace,
    NGram,
    document_counts,
    length_in_bigrams,
    length_penalty,
)
from tasks.evaluation.uncertainty.moments import Floats

CountedNGram = tuple[NGram, int]


def consensus_scores(space: CiderSpace, captions: Sequence[str]) -> Floats:
    """Mean CIDEr of each caption as hypothesis against all others as references, (captions,); 0 for a single one."""
    if len(captions) < 2:
        return np.zeros(len(captions))
    lengths = {length: index for index, length in enumerate(sorted({length_in_bigrams(text) for text in captions}))}
    keys, shares = _shares(space, captions, lengths)
    penalties = np.array([[length_penalty(one - other) for other in lengths] for one in lengths])
    # the sum over all references, for each length of a hypothesis and each (n-gram, count) in it
    given = (shares @ penalties).T
    sums = [_sum_over_others(space, caption, keys, given, lengths) for caption in captions]
    return np.array(sums) / (len(captions) - 1)


def best_caption(space: CiderSpace, captions: Sequence[str]) -> str:
    """The caption with the highest consensus; ties go to the first in the alphabet."""
    scores = consensus_scores(space, captions)
    # rounded, since the order of the captions changes the last bits
    return min(zip(-np.round(scores, 9), captions, strict=True))[1]


def _counted(space: CiderSpace, vector: CaptionVector) -> Iterator[tuple[CountedNGram, float, float]]:
    """Each n-gram of a caption with its count, idf and the norm of its order; n-grams of weight 0 are left out."""
    for order in range(ORDERS):
        for ngram, weight in vector.weights[order].items():
            if idf := space.idf(ngram):
                yield (ngram, round(weight / idf)), idf, vector.norms[order]


def _shares(
    space: CiderSpace, captions: Sequence[str], lengths: dict[int, int]
) -> tuple[dict[CountedNGram, int], Floats]:
    """Rows by (n-gram of several captions, count in a hypothesis), and the references' sums, (rows, lengths).

    A reference contributes min(count, its count) x its count / its norm, times the squared idf.
    """
    shared = document_counts([[caption] for caption in captions])
    keys: dict[CountedNGram, int] = {}
    sums, idfs, zeros = array("d"), array("d"), array("d", bytes(8 * len(lengths)))
    for caption in captions:
        vector = space.vector(caption)
        for key, idf, norm in _counted(space, vector):
            if key[0] in shared:
                row = keys.setdefault(key, len(keys))
                if row == len(idfs):
                    sums.extend(zeros)
                    idfs.append(idf)
                sums[row * len(lengths) + lengths[vector.length]] += 1 / norm
    of_each = np.frombuffer(sums).reshape(len(keys), len(lengths))
    weights = np.square(np.frombuffer(idfs))[:, None]
    return keys, _over_all_counts(keys, of_each) * weights


def _over_all_counts(keys: dict[CountedNGram, int], of_each: Floats) -> Floats:
    """For each row the sum over all rows of its n-gram, (rows, lengths)."""
    result = of_each.copy()
    counts: dict[NGram, list[int]] = defaultdict(list)
    for ngram, count in keys:
        if count > 1:
            counts[ngram].append(count)
    for ngram, several in counts.items():
        present = [count for count in (1, *several) if (ngram, count) in keys]
        for own in present:
            result[keys[ngram, own]] = sum(min(own, count) * count * of_each[keys[ngram, count]] for count in present)
    return result


def _sum_over_others(
    space: CiderSpace, caption: str, keys: dict[CountedNGram, int], given: Floats, lengths: dict[int, int]
) -> float:
    vector = space.vector(caption)
    of_length, total = given[lengths[vector.length]], 0.0
    for key, idf, norm in _counted(space, vector):
        if key in keys:
            # without the caption's own contribution
            total += of_length[keys[key]] / norm - (key[1] * idf / norm) ** 2
    return SCALE * float(total) / ORDERS
