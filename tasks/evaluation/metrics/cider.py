"""CIDEr-D (clipped, length penalty of sigma 6, times 10): of captions one by one, and of many at once in arrays.

The reported values are those of pycocoevalcap's CiderScorer to the last bit; the controls' may differ in it.
"""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from sys import intern

import numpy as np

from tasks.evaluation.metrics.ngram_rows import ORDERS, Ints
from tasks.evaluation.metrics.text_pairs import SharedNGrams, TextPairs
from tasks.evaluation.uncertainty.moments import Floats

SIGMA = 6.0
SCALE = 10.0
# of lengths: at this difference the penalty is 0 in float64
FARTHEST = 300

NGram = tuple[str, ...]


def count_ngrams(tokens: str) -> Counter[NGram]:
    """Count the n-grams of 1 to 4 tokens in a caption of whitespace-separated tokens."""
    # one object per word: there are as many n-grams as tokens, but few different words
    words = list(map(intern, tokens.split()))
    return Counter(
        tuple(words[start : start + order]) for order in range(1, ORDERS + 1) for start in range(len(words) - order + 1)
    )


def document_counts(documents: Sequence[Sequence[str]]) -> Counter[NGram]:
    """The document frequency of the n-grams that are in more than one document (the references of one image).

    Most n-grams of a large test set are in a single document; CIDEr treats them like unknown ones, and keeping them
    would take most of the memory. The first pass keeps hashes only.
    """
    hashes = array("q")
    for references in documents:
        hashes.extend(map(hash, _ngrams_of(references)))
    ordered = np.frombuffer(hashes, dtype=np.int64)
    ordered.sort()
    repeated = set(np.unique(ordered[1:][ordered[1:] == ordered[:-1]]).tolist())
    # an n-gram that shares its hash with another is counted as well, correctly
    return Counter(ngram for references in documents for ngram in _ngrams_of(references) if hash(ngram) in repeated)


def _ngrams_of(references: Sequence[str]) -> set[NGram]:
    return set().union(*map(count_ngrams, references))


@dataclass(frozen=True)
class CaptionVector:
    """A caption's tf-idf weights by order, their norms, and its length in bigrams, as in pycocoevalcap."""

    weights: tuple[dict[NGram, float], ...]
    norms: tuple[float, ...]
    length: int


class CiderSpace:
    """The tf-idf space of CIDEr-D with the document frequency of the given documents.

    `counts` is the result of `document_counts`.
    """

    def __init__(self, documents: Iterable[Sequence[str]]):
        documents = list(documents)
        self.counts = document_counts(documents)
        # 0 without documents, as for a validation set of questions only
        self._log_size = math.log(max(1, len(documents)))

    def idf(self, ngram: NGram) -> float:
        """log(documents / documents with the n-gram); an unknown n-gram counts as in one document."""
        return self._log_size - math.log(max(1, self.counts[ngram]))

    def vector(self, tokens: str) -> CaptionVector:
        """The tf-idf vector of a caption; not cached, since a test set's vectors would fill the memory."""
        weights: tuple[dict[NGram, float], ...] = tuple({} for _ in range(ORDERS))
        for ngram, count in count_ngrams(tokens).items():
            weights[len(ngram) - 1][ngram] = count * self.idf(ngram)
        norms = tuple(math.sqrt(sum(weight * weight for weight in part.values())) for part in weights)
        return CaptionVector(weights, norms, length_in_bigrams(tokens))


def length_in_bigrams(tokens: str) -> int:
    """The length of a caption in bigrams, as in pycocoevalcap."""
    return max(0, len(tokens.split()) - 1)


def length_penalty(difference: float) -> float:
    """The factor of a similarity for a difference in length, in bigrams."""
    return math.exp(-(difference**2) / (2 * SIGMA**2))


def similarity(hypothesis: CaptionVector, reference: CaptionVector) -> float:
    """CIDEr-D of one caption against one reference: the clipped cosine, averaged over the orders."""
    total = 0.0
    for order in range(ORDERS):
        norms = hypothesis.norms[order] * reference.norms[order]
        if norms:
            of_reference = reference.weights[order]
            shared = sum(
                min(weight, of_reference[ngram]) * of_reference[ngram]
                for ngram, weight in hypothesis.weights[order].items()
                if ngram in of_reference
            )
            total += shared / norms
    return SCALE * total * length_penalty(hypothesis.length - reference.length) / ORDERS


def mean_similarity(hypothesis: CaptionVector, references: Sequence[CaptionVector]) -> float:
    """CIDEr-D of one caption against one or more references."""
    return sum(similarity(hypothesis, reference) for reference in references) / len(references)


def tf_idf(ngrams: SharedNGrams) -> Floats:
    """The weights of all rows under the document frequency of their texts' references, as in `CiderSpace`."""
    size = math.log(max(1, ngrams.pairs.documents))
    return ngrams.weights(lambda count: size - math.log(max(1, count)))


def pair_similarities(pairs: TextPairs) -> Floats:
    """`similarity` of each pair, (pairs,), under the document frequency of the pairs' references."""
    total = np.zeros(pairs.pairs)
    for ngrams in pairs.orders():
        weights = tf_idf(ngrams)
        total += ngrams.cosines(_clipped(ngrams, weights), weights * weights)
    penalties = np.array([length_penalty(difference) for difference in range(FARTHEST + 1)])
    similarities: Floats = SCALE * total * penalties[_differences(pairs)] / ORDERS
    return similarities


def packaged_scores(pairs: TextPairs) -> Floats:
    """CIDEr-D of each document's hypothesis, (documents,): that of pycocoevalcap's CiderScorer to the last bit."""
    size, total = np.log(float(pairs.documents)), np.zeros(pairs.documents)
    penalties = np.array([np.e ** (-(float(far) ** 2) / (2 * SIGMA**2)) for far in range(FARTHEST + 1)])
    for ngrams in pairs.orders():
        weights = ngrams.weights(lambda count: float(size - np.log(max(1.0, count))))
        # squared one by one, as there: the square of an array may differ in the last bit
        values, index = np.unique(weights, return_inverse=True)
        squares = np.array([pow(value, 2) for value in values])[index]
        cosines = ngrams.cosines(_clipped(ngrams, weights), squares)
        total += pairs.sum_over_references(cosines * penalties[_differences(pairs)], 0)
    return total / ORDERS / pairs.copies * SCALE


def _clipped(ngrams: SharedNGrams, weights: Floats) -> Floats:
    return ngrams.sums(lambda one, other: np.minimum(weights[one], weights[other]) * weights[other])


def _differences(pairs: TextPairs) -> Ints:
    """How much the lengths of each pair's texts differ, in bigrams, at most `FARTHEST`."""
    bigrams = np.maximum(0, pairs.lengths - 1)
    differences: Ints = np.minimum(np.abs(bigrams[pairs.one] - bigrams[pairs.other]), FARTHEST)
    return differences
