"""The n-grams of many texts as arrays of numbers, so that a whole test set takes few numpy operations."""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.evaluation.uncertainty.moments import Floats

ORDERS = 4

# int64; the columns of rows are int32, since there are millions
Ints = NDArray[np.signedinteger]


class NGramRows(NamedTuple):
    """The n-grams of one order in some texts: a row for each different one of a text, by text and first occurrence.

    `text`, `ngram` and `counts`, all int32 (rows,), are the number of the text, that of the n-gram, from 0 to `ngrams`
    - 1, and how often the text has it.
    """

    text: Ints
    ngram: Ints
    counts: Ints
    ngrams: int


def token_counts(texts: Sequence[str]) -> Ints:
    """How many whitespace-separated tokens each text has, int64 (texts,)."""
    return np.fromiter((len(text.split()) for text in texts), dtype=np.int64, count=len(texts))


def ngram_rows(texts: Sequence[str]) -> Iterator[NGramRows]:
    """The n-grams of whitespace-separated tokens, for n from 1 to 4 in turn: all at once would fill the memory."""
    tokens, words = _token_numbers(texts)
    lengths = token_counts(texts)
    text = np.repeat(np.arange(len(texts)), lengths)
    ends = np.repeat(np.cumsum(lengths), lengths)
    starts, numbers, ngrams = np.arange(len(tokens)), tokens, words
    for order in range(ORDERS):
        if order:
            fits = starts + order < ends[starts]
            starts, numbers = starts[fits], numbers[fits]
            # an n-gram is the number of its first n - 1 tokens and its last token
            found, numbers = np.unique(numbers * words + tokens[starts + order], return_inverse=True)
            ngrams = len(found)
        yield _rows(text[starts], numbers, ngrams)


def sums_by(index: Ints, values: Floats, size: int) -> Floats:
    """The sum of the values of each number of `index`, added up in their order: float64 (size,)."""
    return np.asarray(np.bincount(index, values, minlength=size), dtype=np.float64)


def _token_numbers(texts: Sequence[str]) -> tuple[Ints, int]:
    """The number of each token of all texts, and how many different tokens there are."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    tokens = array("q")
    for text in texts:
        tokens.extend(map(numbers.__getitem__, text.split()))
    return np.array(tokens, dtype=np.int64), len(numbers)


def _rows(text: Ints, numbers: Ints, ngrams: int) -> NGramRows:
    _, first, counts = np.unique(text * ngrams + numbers, return_index=True, return_counts=True)
    by_first = np.argsort(first)
    first = first[by_first]
    text, ngram, counts = (column.astype(np.int32) for column in (text[first], numbers[first], counts[by_first]))
    return NGramRows(text, ngram, counts, ngrams)
