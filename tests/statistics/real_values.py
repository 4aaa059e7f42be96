"""Scores per image of real captions, and data sets drawn from them.

values.npz has an array for each source, metric and kind of answer, such as "RSICD.CIDEr.peer"; build_values.py made it.
"""

from functools import cache
from pathlib import Path

import numpy as np

from tasks.evaluation.uncertainty.moments import Floats

VALUES = Path(__file__).with_name("values.npz")
SOURCES = ("RSICD", "NWPU", "UCM")
# answers that are human captions, from bad to good as a model's may be
ANSWERS = {
    "any_image": "a caption of any image",
    "peer": "a caption of another image of the class",
    "second_peer": "the same, drawn again",
    "best_of_five": "of five such captions the one closest to two of the references",
    "class_consensus": "the caption that agrees most with those of the class",
    "human": "one of the references against the others",
}
# images of a simulated test set
SIZES = (7, 20, 50, 100, 500)


@cache
def _arrays() -> dict[str, Floats]:
    with np.load(VALUES) as stored:
        return {name: stored[name].astype(float) for name in stored.files}


def scores(source: str, metric: str, answers: str) -> Floats:
    """The scores of every image (images,), or BLEU's counts (images, 10)."""
    return _arrays()[f"{source}.{metric}.{answers}"]


def difference(source: str, better: str, worse: str, metric: str = "CIDEr") -> Floats:
    """The difference of two kinds of answers by image (images,), moved to a mean of 0: a null with its real shape."""
    values = scores(source, metric, better) - scores(source, metric, worse)
    return values - values.mean()


def right_answers(random: np.random.Generator, asked: Floats, share: float, correlation: float) -> Floats:
    """Right answers to the `asked` questions of each image (images,), beta-binomial with an intra-image correlation."""
    if correlation == 0:
        return random.binomial(asked.astype(int), share).astype(float)
    scale = (1 - correlation) / correlation
    shares = random.beta(share * scale, (1 - share) * scale, len(asked))
    return random.binomial(asked.astype(int), shares).astype(float)
