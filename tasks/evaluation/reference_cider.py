"""The score that the reference scripts print, only to reproduce old numbers: it also scores questions with CIDEr.

Definition. A record is one document; its references are all its gpt values, its hypothesis is the answer to its
first question, whatever its task. Tokens are separated by whitespace and keep their case. For n = 1 to 4 a text is
the vector of count(g) x log(records / max(1, records whose references contain g)) over its n-grams g. The
similarity of two texts is the mean over n of the plain cosine of their vectors (0 where one vector is zero),
without clipping and length penalty. A record's score is 10 times the mean similarity of its hypothesis to its
references; CIDEr is the mean over the records of all sources together, CIDEr_nonzero the mean over the records
whose score is not 0, None if there are none. This is CIDEr as first published (Vedantam et al. 2015), not the
CIDEr-D of pycocoevalcap.
"""

from collections.abc import Sequence

import numpy as np

from tasks.evaluation.metrics.cider import SCALE, tf_idf
from tasks.evaluation.metrics.ngram_rows import ORDERS
from tasks.evaluation.metrics.text_pairs import SharedNGrams, TextPairs
from tasks.evaluation.pairing import PairedRecord
from tasks.evaluation.scores import ReferenceScores
from tasks.evaluation.uncertainty.moments import Floats


def score_by_reference_protocol(records: Sequence[PairedRecord]) -> ReferenceScores:
    """`records`, `CIDEr` and `CIDEr_nonzero` as defined above; the order of records does not matter."""
    references = [[turn.reference for turn in record.turns] for record in records]
    pairs = TextPairs(references, [[record.turns[0].answer or "" for record in records]])
    scores = sorted((SCALE * pairs.sum_over_references(_cosines(pairs), 0) / pairs.copies).tolist())
    nonzero = [score for score in scores if score]
    return {
        "records": len(records),
        "CIDEr": sum(scores) / len(scores),
        "CIDEr_nonzero": sum(nonzero) / len(nonzero) if nonzero else None,
    }


def _cosines(pairs: TextPairs) -> Floats:
    total = np.zeros(pairs.pairs)
    for ngrams in pairs.orders():
        weights = tf_idf(ngrams)
        total += ngrams.cosines(_products(ngrams, weights), weights * weights)
    return total / ORDERS


def _products(ngrams: SharedNGrams, weights: Floats) -> Floats:
    return ngrams.sums(lambda one, other: weights[one] * weights[other])
