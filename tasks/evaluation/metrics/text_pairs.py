"""Texts paired with the references of the same document, and the n-grams that both texts of a pair have.

Sums over the n-grams of a pair are in the order of their first occurrence in its first text, one after the other, as in
a loop over a dictionary: scores are those of such a loop to the last bit.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import chain, pairwise

import numpy as np

from tasks.evaluation.metrics.ngram_rows import Ints, NGramRows, ngram_rows, sums_by, token_counts
from tasks.evaluation.uncertainty.moments import Floats

# how many texts are compared at once: more would only take more memory
BLOCK = 4096


class TextPairs:
    """Each hypothesis with each different reference of its document; with `among` also each reference.

    `hypotheses` are lists with one text per document. The texts are the different references of all documents, of
    which there are `references`, then the hypotheses, list by list. Pairs are ordered by their first text.
    """

    def __init__(
        self, references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]], among: bool = False
    ) -> None:
        numbers = [{text: number for number, text in enumerate(dict.fromkeys(group))} for group in references]
        sizes = np.array([len(group) for group in numbers], dtype=np.int64)
        self.documents = len(references)
        self.references = int(sizes.sum())
        self.texts = [*chain.from_iterable(numbers), *chain.from_iterable(hypotheses)]
        of_references = np.repeat(np.arange(self.documents), sizes)
        self.document = np.concatenate([of_references, np.tile(np.arange(self.documents), len(hypotheses))])
        first_reference = np.cumsum(sizes) - sizes
        self._place: Ints = np.arange(self.references) - first_reference[self.document[: self.references]]
        partners = sizes[self.document]
        if not among:
            partners[: self.references] = 0
        self._first_pair: Ints = np.cumsum(partners) - partners
        self.pairs = int(partners.sum())
        # the first and second text of each pair
        self.one = np.repeat(np.arange(len(self.texts)), partners)
        self.other = np.arange(self.pairs) - self._first_pair[self.one] + first_reference[self.document[self.one]]
        # all references with their copies: how many of each document, and their texts
        self.copies = np.array([len(group) for group in references], dtype=np.int64)
        place = (number[text] for number, group in zip(numbers, references, strict=True) for text in group)
        self.given = np.repeat(first_reference, self.copies) + np.fromiter(place, dtype=np.int64)

    @cached_property
    def lengths(self) -> Ints:
        """The number of tokens of each text."""
        return token_counts(self.texts)

    def orders(self) -> Iterator["SharedNGrams"]:
        """The n-grams of all texts, for n from 1 to 4 in turn."""
        return (SharedNGrams(self, rows) for rows in ngram_rows(self.texts))

    def pair_of(self, one: Ints, other: Ints) -> Ints:
        """The numbers of the pairs of texts `one` and references `other` of the same documents."""
        return self._first_pair[one] + self._place[other]

    def sum_over_references(self, values: Floats, hypotheses: int) -> Floats:
        """The sum of a list's values (pairs,) over all references of each document, of which copies count again."""
        document = self.document[self.given]
        pair = self.pair_of(self.references + hypotheses * self.documents + document, self.given)
        return sums_by(document, values[pair], self.documents)

    def mean_over_references(self, values: Floats, hypotheses: int) -> Floats:
        """The mean of a list's values (pairs,) over all references of each document, (documents,)."""
        return self.sum_over_references(values, hypotheses) / self.copies


class SharedNGrams:
    """The n-grams of one order in the texts of `pairs`; `frequency` (n-grams,) counts the documents that have one."""

    def __init__(self, pairs: TextPairs, rows: NGramRows):
        self.pairs, self.rows = pairs, rows
        self._keys = pairs.document[rows.text] * rows.ngrams + rows.ngram
        of_references = self._keys[: np.searchsorted(rows.text, pairs.references)]
        self._by_key = np.argsort(of_references, kind="stable").astype(np.int32)
        self._ordered = of_references[self._by_key]
        is_first = np.diff(self._ordered, prepend=-1) != 0
        self.frequency = np.bincount(rows.ngram[self._by_key[is_first]], minlength=rows.ngrams)

    def weights(self, idf: Callable[[int], float]) -> Floats:
        """The tf-idf weight of each row; `idf` is a function of the document frequency."""
        by_frequency: Floats = np.array([idf(count) for count in range(int(self.frequency.max(initial=0)) + 1)])
        return self.rows.counts * by_frequency[self.frequency[self.rows.ngram]]

    def norms(self, squares: Floats) -> Floats:
        """The norm of each text, (texts,), from the squared weights of all rows."""
        return np.sqrt(sums_by(self.rows.text, squares, len(self.pairs.texts)))

    def cosines(self, sums: Floats, squares: Floats) -> Floats:
        """`sums` (pairs,) over the norms of both texts, 0 where a norm is 0; `squares` are those of all weights."""
        norms = self.norms(squares)
        product = norms[self.pairs.one] * norms[self.pairs.other]
        quotients: Floats = np.divide(sums, product, out=np.zeros_like(sums), where=product != 0)
        return quotients

    def sums(self, product: Callable[[Ints, Ints], Floats]) -> Floats:
        """The sum over the n-grams that a pair shares of `product`, a function of two arrays of rows: (pairs,)."""
        total = np.zeros(self.pairs.pairs)
        for one, other in self.shared():
            pair = self.pairs.pair_of(self.rows.text[one], self.rows.text[other])
            if len(pair):
                low = int(pair.min())
                values = np.bincount(pair - low, product(one, other))
                total[low : low + len(values)] += values
        return total

    def shared(self) -> Iterator[tuple[Ints, Ints]]:
        """The rows of equal n-grams in the two texts of a pair, for some texts at a time."""
        texts = np.arange(self.pairs.one[0] if self.pairs.pairs else 0, len(self.pairs.texts) + BLOCK, BLOCK)
        bounds = np.searchsorted(self.rows.text, texts)
        for start, end in pairwise(bounds.tolist()):
            keys = self._keys[start:end]
            first, last = (np.searchsorted(self._ordered, keys, side=side) for side in ("left", "right"))
            partners, one = ranges(first, last)
            yield start + one, self._by_key[partners]


def ranges(starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """All numbers from each start to before its end, one range after the other, and for each number its range."""
    sizes = ends - starts
    of_range = np.repeat(np.arange(len(sizes)), sizes)
    return np.arange(len(of_range)) + (starts - np.cumsum(sizes) + sizes)[of_range], of_range
