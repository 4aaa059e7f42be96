"""Consensus of many captions: the mean CIDEr of each against all others, exact and in linear time.

Pairwise, the 157,000 training captions of NWPU would take 550 million comparisons. But the contribution of an n-gram
to a caption's sum depends only on its count and on the lengths of the captions that share it, so captions of one
length are summed once per n-gram. Most n-grams occur in a single caption; they contribute nothing and are not kept.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.evaluation.metrics.cider import SCALE, length_penalty, tf_idf
from tasks.evaluation.metrics.ngram_rows import ORDERS, Ints, sums_by
from tasks.evaluation.metrics.text_pairs import SharedNGrams, TextPairs, ranges
from tasks.evaluation.uncertainty.moments import Floats


class _Occurrences(NamedTuple):
    """N-grams of one order in some captions, without those of weight 0; arrays (occurrences,).

    `weight` is count x idf, `norm` that of the order in the caption.
    """

    caption: Ints
    ngram: Ints
    counts: Ints
    weight: Floats
    norm: Floats

    def rows(self, chosen: Ints | NDArray[np.bool_]) -> "_Occurrences":
        """The occurrences with these numbers."""
        return _Occurrences(
            self.caption[chosen], self.ngram[chosen], self.counts[chosen], self.weight[chosen], self.norm[chosen]
        )


def best_captions(documents: Sequence[Sequence[str]], groups: Sequence[Sequence[int]]) -> list[str]:
    """The caption with the highest consensus in each group; ties go to the first in the alphabet.

    Captions are numbered through all documents, whose document frequency is used.
    """
    captions = [text for document in documents for text in document]
    # rounded, since the order of the captions changes the last bits
    return [
        min(zip(-np.round(scores, 9), (captions[number] for number in group), strict=True))[1]
        for group, scores in zip(groups, consensus_scores(documents, groups), strict=True)
    ]


def consensus_scores(documents: Sequence[Sequence[str]], groups: Sequence[Sequence[int]]) -> list[Floats]:
    """Mean CIDEr of each caption of a group as hypothesis against all others as references; 0 for a single one.

    For each group float64 (captions,); captions are numbered through all documents.
    """
    texts = TextPairs(documents, [])
    members = [texts.given[np.array(group, dtype=np.int64)] for group in groups]
    totals = [np.zeros(len(group)) for group in groups]
    for ngrams in texts.orders():
        occurrences = _occurrences(ngrams)
        bounds = np.searchsorted(occurrences.caption, np.arange(len(texts.texts) + 1))
        for group, total in zip(members, totals, strict=True):
            chosen, caption = ranges(bounds[group], bounds[group + 1])
            found = occurrences.rows(chosen)._replace(caption=caption)
            total += _sums_over_others(found, np.maximum(0, texts.lengths[group] - 1))
    return [SCALE * total / ORDERS / max(1, len(total) - 1) for total in totals]


def _occurrences(ngrams: SharedNGrams) -> _Occurrences:
    weights = tf_idf(ngrams)
    rows, kept = ngrams.rows, weights > 0
    norms = ngrams.norms(weights * weights)[rows.text]
    return _Occurrences(rows.text, rows.ngram, rows.counts, weights, norms).rows(kept)


def _sums_over_others(found: _Occurrences, lengths: Ints) -> Floats:
    """For each caption of a group, of `lengths` in bigrams, the sum over all others, without a caption's own share.

    A reference contributes min(count, its count) x its count / its norm, times the squared idf.
    """
    if not len(found.ngram):
        return np.zeros(len(lengths))
    several = np.bincount(found.ngram)[found.ngram] > 1
    caption, ngram, counts, weight, norm = found.rows(several)
    different, length = np.unique(lengths, return_inverse=True)
    length = length[caption]
    base = int(counts.max(initial=0)) + 1
    # int64: the product of two columns of int32 may be larger
    keys, first, key = np.unique(ngram * np.int64(base) + counts, return_index=True, return_inverse=True)
    shape = len(keys), len(different)
    of_each = sums_by(key * shape[1] + length, 1 / norm, shape[0] * shape[1]).reshape(shape)
    shares = _over_all_counts(keys, base, of_each) * np.square(weight / counts)[first][:, None]
    penalties = np.array([[length_penalty(int(one - other)) for other in different] for one in different])
    values = (shares @ penalties)[key, length] / norm - np.square(weight / norm)
    return sums_by(caption, values, len(lengths))


def _over_all_counts(keys: Ints, base: int, of_each: Floats) -> Floats:
    """For each key, n-gram x base + count, the sum over all counts of its n-gram, (keys, lengths)."""
    result = of_each.copy()
    ngram, count = np.divmod(keys, base)
    for repeated in np.unique(ngram[count > 1]):
        start, end = np.searchsorted(ngram, [repeated, repeated + 1])
        counts = count[start:end]
        result[start:end] = (np.minimum.outer(counts, counts) * counts) @ of_each[start:end]
    return result
