"""How varied and how long a model's captions are, next to the length of the references."""

from collections.abc import Sequence

import numpy as np

from tasks.evaluation.metrics.cider import NGram
from tasks.evaluation.scores import Diversity


def caption_diversity(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Diversity:
    """distinct-1 and distinct-2 of the hypotheses, and the lengths of hypotheses and references, in PTB tokens.

    distinct-n is the number of different n-grams over the number of tokens of all hypotheses (Li et al. 2016, "A
    diversity-promoting objective function for neural conversation models"); None if no hypothesis has a token. An
    empty hypothesis has the length 0; every reference of an image counts, copies too.
    """
    lengths = [len(text.split()) for text in hypotheses]
    of_references = [len(text.split()) for group in references for text in group]
    return {
        "distinct-1": _distinct(hypotheses, 1),
        "distinct-2": _distinct(hypotheses, 2),
        "mean_length": float(np.mean(lengths)),
        "median_length": float(np.median(lengths)),
        "reference_mean_length": float(np.mean(of_references)),
        "reference_median_length": float(np.median(of_references)),
    }


def _distinct(captions: Sequence[str], order: int) -> float | None:
    ngrams: set[NGram] = set()
    tokens = 0
    for caption in captions:
        words = caption.split()
        tokens += len(words)
        ngrams.update(tuple(words[start : start + order]) for start in range(len(words) - order + 1))
    return len(ngrams) / tokens if tokens else None
