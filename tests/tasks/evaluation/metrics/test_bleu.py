"""BLEU's counts against those of pycocoevalcap's BleuScorer."""

import random

from tasks.evaluation.metrics.bleu import bleu_counts
from tasks.evaluation.metrics.text_pairs import TextPairs


def test_counts_equal_pycocoevalcaps() -> None:
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    draw = random.Random(4)
    texts = [" ".join(draw.choices("abcd", k=draw.randint(0, 9))) for _ in range(400)]
    documents = [[*texts[5 * n : 5 * n + 1 + n % 4]] for n in range(80)]
    said = [texts[5 * n + 4] for n in range(80)]
    for counts, text, references in zip(bleu_counts(TextPairs(documents, [said])), said, documents, strict=True):
        theirs = BleuScorer(text, references, n=4).ctest[0]
        closest = min((abs(length - theirs["testlen"]), length) for length in theirs["reflen"])[1]
        assert counts.tolist() == [theirs["testlen"], closest, *theirs["guess"], *theirs["correct"]]
