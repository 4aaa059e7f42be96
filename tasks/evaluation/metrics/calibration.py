"""Calibration: whether the probabilities of a model's answers tell right answers from wrong ones."""

from collections.abc import Sequence

import numpy as np
from typing_extensions import TypedDict

BINS = 15


class CalibrationBin(TypedDict):
    """The answers with a probability above `low` and up to `high`: their mean probability and accuracy."""

    low: float
    high: float
    answers: int
    probability: float
    accuracy: float


class Calibration(TypedDict):
    """How well the probabilities of answers agree with their accuracy; AUROC needs right and wrong answers."""

    answers: int
    ECE: float
    AUROC: float | None
    bins: list[CalibrationBin]


def calibration(answers: Sequence[tuple[float, bool]]) -> Calibration | None:
    """The calibration of (probability, right) of some answers; None without any.

    ECE is the expected calibration error over 15 bins of equal width (Guo et al. 2017): the mean distance between a
    bin's probability and its accuracy, weighted by its answers. AUROC is the chance that a right answer has a higher
    probability than a wrong one; None if all answers are right, or all wrong.
    """
    if not answers:
        return None
    bins = _bins(answers)
    gaps = (each["answers"] * abs(each["probability"] - each["accuracy"]) for each in bins)
    return {"answers": len(answers), "ECE": sum(gaps) / len(answers), "AUROC": _auroc(answers), "bins": bins}


def _bins(answers: Sequence[tuple[float, bool]]) -> list[CalibrationBin]:
    """The bins that have answers, each without its lower and with its upper edge; 0 is in the first."""
    edges = np.linspace(0, 1, BINS + 1)
    probability, right = np.array(answers, dtype=float).T
    bin_of = np.searchsorted(edges[1:-1], probability)
    return [
        {
            "low": float(edges[number]),
            "high": float(edges[number + 1]),
            "answers": int(inside.sum()),
            "probability": float(probability[inside].mean()),
            "accuracy": float(right[inside].mean()),
        }
        for number in range(BINS)
        if (inside := bin_of == number).any()
    ]


def _auroc(answers: Sequence[tuple[float, bool]]) -> float | None:
    probabilities, right = zip(*answers, strict=True)
    if len(set(right)) < 2:
        return None
    # importing it takes a second
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(right, probabilities))
