"""Alarms of a re-evaluation: which scores have dropped, with a false alarm on at most 1 % of the nights."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

from tasks.evaluation.uncertainty.moments import LEVEL

# previous and first: lower than that report, image by image; drift: the last scores are below the first ones
Kind = Literal["previous", "first", "drift"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NIGHT_LEVEL = 0.01
# A kind gets this part of the level. Nights that share the first report alarm together: most of the level is reserve.
PARTS: dict[str, int] = {"previous": 4, "first": 10, "drift": 10}
# the field of an Evaluation that shows the change behind an alarm
FIELDS: dict[str, str] = {"previous": "changes", "first": "since_first", "drift": "drift"}
# evaluations of a drift: the last ones, and at most this many of the first
WINDOW, MOST_FIRST = 7, 28
# a smaller loss, as a share of the first scores, is no drift
LEAST_LOSS = 0.02


class Evidence(NamedTuple):
    """What is known of one source's score: one-sided p-values of a loss, None if there is nothing to compare with.

    `scores` are those of all evaluations under one protocol, oldest first, the current one included.
    """

    previous: float | None
    first: float | None
    scores: Sequence[float]


class Drift(NamedTuple):
    """The last seven scores against the first ones: two means, the 95 % interval of their difference, and p-values.

    `loss` is one-sided, and 1 for a loss under 2 % of the first scores. The interval is None if the scores do not vary.
    """

    first: float
    last: float
    interval: list[float] | None
    loss: float
    p_value: float


def alarms(evidence: Mapping[str, Evidence], tests: int) -> dict[str, Kind]:
    """The scores that alarm, each with the first kind of alarm that holds; `tests` are all of the night."""
    found: dict[str, Kind] = {}
    for name, known in evidence.items():
        drift = drift_of(known.scores)
        losses = {
            "previous": known.previous,
            "first": known.first,
            "drift": drift.loss if drift else None,
        }
        for kind in KINDS:
            loss = losses[kind]
            if loss is not None and adjusted(loss, kind, tests) < NIGHT_LEVEL:
                found[name] = kind
                break
    return found


def begun(now: Mapping[str, str], last: Mapping[str, str]) -> list[str]:
    """The scores that alarm now and did not at the last evaluation."""
    return [name for name in now if name not in last]


def adjusted(p_value: float, kind: str, tests: int) -> float:
    """A one-sided p-value that shows a change where it is below NIGHT_LEVEL (Bonferroni over tests and kinds)."""
    return min(1.0, p_value * PARTS[kind] * tests)


def drift_of(scores: Sequence[float]) -> Drift | None:
    """Compare the last seven scores with the first seven, or with half of all, at most 28; None with too few.

    The noise is that from night to night on the same images: Student's t with a common variance.
    """
    from scipy.special import stdtr, stdtrit

    count = min(max(WINDOW, len(scores) // 2), MOST_FIRST)
    if len(scores) < count + WINDOW:
        return None
    first, last = np.asarray(scores[:count], float), np.asarray(scores[-WINDOW:], float)
    before, now = float(first.mean()), float(last.mean())
    large = before > now and before - now >= LEAST_LOSS * abs(before)
    freedom = count + WINDOW - 2
    variance = ((count - 1) * float(first.var(ddof=1)) + (WINDOW - 1) * float(last.var(ddof=1))) / freedom
    # equal scores differ by rounding
    if variance <= 1e-24 * max(1.0, before * before):
        p_value = 0.0 if large else 1.0
        return Drift(before, now, None, p_value, p_value)
    error = math.sqrt(variance * (1 / count + 1 / WINDOW))
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    loss = float(stdtr(freedom, (now - before) / error))
    interval = [now - before - half, now - before + half]
    return Drift(before, now, interval, loss if large else 1.0, 2 * min(loss, 1 - loss))
