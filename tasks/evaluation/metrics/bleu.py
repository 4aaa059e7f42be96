"""The counts from which BLEU is computed, of all images at once."""

import numpy as np

from tasks.evaluation.metrics.ngram_rows import ORDERS, Ints
from tasks.evaluation.metrics.text_pairs import SharedNGrams, TextPairs
from tasks.evaluation.uncertainty.moments import Floats


def bleu_counts(pairs: TextPairs) -> Floats:
    """BLEU's counts of the hypotheses of `pairs` as in pycocoevalcap's BleuScorer, float64 (documents, 10).

    Length, closest length of a reference, of which the shorter if two are as close, n-grams and correct n-grams, the
    latter two for n from 1 to 4.
    """
    lengths = pairs.lengths[pairs.references :]
    guessed = [np.maximum(0, lengths - order) for order in range(ORDERS)]
    correct = [_correct(ngrams)[pairs.references :] for ngrams in pairs.orders()]
    return np.array([lengths, _closest(pairs), *guessed, *correct], dtype=float).T


def _closest(pairs: TextPairs) -> Ints:
    one, other = pairs.lengths[pairs.one], pairs.lengths[pairs.other]
    base = int(other.max(initial=0)) + 1
    # the smallest difference and then the smallest length, as one number
    starts = np.flatnonzero(np.diff(pairs.one, prepend=-1))
    closest: Ints = np.minimum.reduceat(np.abs(other - one) * base + other, starts) % base
    return closest


def _correct(ngrams: SharedNGrams) -> Floats:
    """How many n-grams of each text are in a reference, each at most as often as in the reference that has most."""
    rows, most = ngrams.rows, np.zeros(len(ngrams.rows.text), dtype=np.int64)
    for one, other in ngrams.shared():
        np.maximum.at(most, one, rows.counts[other])
    found = np.bincount(rows.text, np.minimum(most, rows.counts), minlength=len(ngrams.pairs.texts))
    return found.astype(float, copy=False)
