"""What an evaluation shows: its changes since the previous and the first report, drifts, alarms and verdict."""

from collections.abc import Sequence
from typing import NamedTuple

from tasks.evaluation.headline import HeadlineChange, HeadlineScore
from tasks.reevaluating.alarms import NIGHT_LEVEL, Drift, Evidence, adjusted, alarms, drift_of
from tasks.reevaluating.history import FIRST, NOT_COMPARABLE, NOT_COMPARED, WORSE, Evaluation

BETTER, TIE = "better", "tie"
Changes = dict[str, HeadlineChange]


class Judgement(NamedTuple):
    """The fields of an `Evaluation` that are not scores, by source except for the verdict."""

    changes: Changes
    since_first: Changes
    drift: Changes
    alarms: dict[str, str]
    verdict: str


NOT_JUDGED = Judgement({}, {}, {}, {}, FIRST)


def judge(
    previous: Changes | None,
    first: Changes | None,
    scores: dict[str, HeadlineScore],
    since: Sequence[Evaluation],
    models: int,
) -> Judgement:
    """Judge an evaluation by its changes; None if there is no report to compare with.

    The tests of a night are the sources of all `models`. The verdicts of changes are on the level of their alarm.
    """
    tests = max(1, len(scores) * models)
    series = {
        source: [each.scores[source]["value"] for each in since if source in each.scores] + [found["value"]]
        for source, found in scores.items()
    }
    evidence = {
        source: Evidence(_loss(previous, source), _loss(first, source), values) for source, values in series.items()
    }
    changes, since_first = _on_level(previous, "previous", tests), _on_level(first, "first", tests)
    drift = {
        source: _as_change(scores[source]["metric"], seen, tests)
        for source, values in series.items()
        if (seen := drift_of(values))
    }
    found: dict[str, str] = {**alarms(evidence, tests)}
    compared = previous is not None or first is not None
    verdict = _verdict(found, changes) if compared or found else NOT_COMPARED if since else FIRST
    return Judgement(changes, since_first, drift, found, verdict)


def new_baseline() -> Judgement:
    """The judgement of an evaluation that cannot be compared with the previous one."""
    return Judgement({}, {}, {}, {}, NOT_COMPARABLE)


def _verdict(found: dict[str, str], changes: Changes) -> str:
    if found:
        return WORSE
    return BETTER if any(change["verdict"] == BETTER for change in changes.values()) else TIE


def _loss(changes: Changes | None, source: str) -> float | None:
    """The one-sided p-value of a loss: half the two-sided one."""
    if changes is None or source not in changes:
        return None
    change = changes[source]
    return change["p_value"] / 2 if change["difference"] < 0 else 1.0


def _on_level(changes: Changes | None, kind: str, tests: int) -> Changes:
    found: Changes = {}
    for source, change in (changes or {}).items():
        p_value = adjusted(change["p_value"] / 2, kind, tests)
        found[source] = {**change, "p_adjusted": p_value, "verdict": _side(change["difference"], p_value)}
    return found


def _side(difference: float, p_value: float) -> str:
    if p_value >= NIGHT_LEVEL:
        return TIE
    return WORSE if difference < 0 else BETTER


def _as_change(metric: str, drift: Drift, tests: int) -> HeadlineChange:
    p_value = adjusted(drift.loss, "drift", tests)
    return {
        "metric": metric,
        "a": drift.first,
        "b": drift.last,
        "difference": drift.last - drift.first,
        "ci95": drift.interval,
        "p_value": drift.p_value,
        "p_adjusted": p_value,
        "verdict": WORSE if p_value < NIGHT_LEVEL else TIE,
    }
