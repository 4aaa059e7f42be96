"""N-grams as numbers, against counting them in a dictionary."""

import random
from collections import Counter

from tasks.evaluation.metrics.ngram_rows import ngram_rows


def test_rows_are_the_counts_of_each_text_in_the_order_of_first_occurrence() -> None:
    draw = random.Random(2)
    texts = ["", *(" ".join(draw.choices("abc", k=draw.randint(0, 12))) for _ in range(50)), "x", ""]
    for order, rows in enumerate(ngram_rows(texts), 1):
        names: dict[int, tuple[str, ...]] = {}
        for number, text in enumerate(texts):
            words = text.split()
            expected = Counter(tuple(words[start : start + order]) for start in range(len(words) - order + 1))
            own = rows.text == number
            assert rows.counts[own].tolist() == list(expected.values())
            for ngram, words_of in zip(rows.ngram[own].tolist(), expected, strict=True):
                assert names.setdefault(ngram, words_of) == words_of
        assert len(set(names.values())) == len(names) == rows.ngrams
