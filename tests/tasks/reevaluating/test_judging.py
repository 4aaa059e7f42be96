"""The judgement of an evaluation: verdicts, levels and alarms never contradict each other."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.evaluation.headline import HeadlineChange, HeadlineScore
from tasks.reevaluating.history import Evaluation
from tasks.reevaluating.judging import Changes, judge, new_baseline

SOURCES = ["NWPU", "RSICD", "LR"]


def change(difference: float, p_value: float) -> HeadlineChange:
    return {
        **{"metric": "CIDEr", "a": 1.0, "b": 1.0 + difference, "difference": difference, "ci95": [-1.0, 1.0]},
        **{"p_value": p_value, "p_adjusted": p_value, "verdict": "set by another rule", "images_needed": 9},
    }  # type: ignore[typeddict-item]


def score(value: float) -> HeadlineScore:
    return {"metric": "CIDEr", "value": value, "ci95": None}


def evaluation(value: float) -> Evaluation:
    return Evaluation(
        **{"time": "2026-01-01T00:00:00+00:00", "model": "final", "step": None, "key": "k", "protocol": "p"},
        **{"report": "r", "scores": {source: score(value) for source in SOURCES}, "changes": {}, "verdict": "tie"},
    )


changes = st.none() | st.fixed_dictionaries(
    {
        source: st.builds(change, st.floats(-1, 1), st.sampled_from([0, 1e-5, 1e-3, 0.004, 0.04, 1]))
        for source in SOURCES
    }
)


@given(changes, changes, st.lists(st.floats(0.1, 1), max_size=30), st.floats(0.1, 1), st.integers(1, 4))
@settings(max_examples=300, deadline=None)
def test_an_alarm_is_a_verdict_worse_and_the_reverse(
    previous: Changes | None, first: Changes | None, earlier: list[float], value: float, models: int
) -> None:
    scores = {source: score(value) for source in SOURCES}
    found = judge(previous, first, scores, [evaluation(each) for each in earlier], models)
    worse = {
        source
        for shown in (found.changes, found.since_first, found.drift)
        for source, each in shown.items()
        if each["verdict"] == "worse"
    }
    assert worse == set(found.alarms)
    assert (found.verdict == "worse") == bool(worse)
    for shown in (found.changes, found.since_first, found.drift):
        for each in shown.values():
            assert (each["verdict"] == "tie") == (each["p_adjusted"] >= 0.01)


def test_the_level_counts_sources_and_models() -> None:
    scores = {source: score(1.0) for source in SOURCES}
    drop = {"LR": change(-0.2, 0.001)}

    def verdict(models: int, previous: Changes | None, first: Changes | None) -> str:
        return judge(previous, first, scores, [evaluation(1.0)], models).verdict

    # one-sided 0.0005: below 0.01 / (4 * 3), above 0.01 / (4 * 3 * 2) and above 0.01 / (10 * 3)
    assert verdict(1, drop, None) == "worse" and verdict(2, drop, None) == "tie" and verdict(1, None, drop) == "tie"


def test_a_gain_needs_the_level_of_a_drop() -> None:
    scores = {source: score(1.0) for source in SOURCES}
    since = [evaluation(1.0)]
    assert judge({"LR": change(0.2, 0.001)}, None, scores, since, 1).verdict == "better"
    assert judge({"LR": change(0.2, 0.01)}, None, scores, since, 1).verdict == "tie"
    # better than the first report on every later night: that is no news
    assert judge({"LR": change(0.0, 1)}, {"LR": change(0.2, 0)}, scores, since, 1).verdict == "tie"


def test_without_reports_there_is_no_verdict_but_still_a_drift() -> None:
    scores = {source: score(0.5) for source in SOURCES}
    assert judge(None, None, scores, [], 1).verdict == "first"
    assert judge(None, None, scores, [evaluation(0.5)], 1).verdict == "not compared"
    steady, low = [evaluation(0.9)] * 20, [evaluation(0.5)] * 6
    found = judge(None, None, scores, steady + low, 1)
    assert found.verdict == "worse" and set(found.alarms.values()) == {"drift"}
    assert new_baseline().verdict == "not comparable"
