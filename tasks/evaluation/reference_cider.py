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

from tasks.evaluation.metrics.cider import ORDERS, SCALE, CaptionVector, CiderSpace
from tasks.evaluation.pairing import PairedRecord
from tasks.evaluation.scores import ReferenceScores


def score_by_reference_protocol(records: Sequence[PairedRecord]) -> ReferenceScores:
    """`records`, `CIDEr` and `CIDEr_nonzero` as defined above; the order of records does not matter."""
    space = CiderSpace([turn.reference for turn in record.turns] for record in records)
    scores = sorted(_score(space, record) for record in records)
    nonzero = [score for score in scores if score]
    return {
        "records": len(records),
        "CIDEr": sum(scores) / len(scores),
        "CIDEr_nonzero": sum(nonzero) / len(nonzero) if nonzero else None,
    }


def _score(space: CiderSpace, record: PairedRecord) -> float:
    hypothesis = space.vector(record.turns[0].answer or "")
    cosines = [_cosine(hypothesis, space.vector(turn.reference)) for turn in record.turns]
    return SCALE * sum(cosines) / len(cosines)


def _cosine(one: CaptionVector, other: CaptionVector) -> float:
    total = 0.0
    for order in range(ORDERS):
        if norms := one.norms[order] * other.norms[order]:
            of_other = other.weights[order]
            total += sum(w * of_other.get(ngram, 0) for ngram, w in one.weights[order].items()) / norms
    return total / ORDERS
