"""The alarms of a night, against an independent recomputation and by their properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from tasks.evaluation.uncertainty.paired import paired_test
from tasks.reevaluating.alarms import KINDS, NIGHT_LEVEL, Evidence, alarms, begun, drift_of

nights = st.lists(st.floats(0.1, 1).map(lambda value: round(value, 3)), min_size=1, max_size=70)
p_values = st.none() | st.floats(0, 1)
evidence = st.builds(Evidence, p_values, p_values, nights)


def drift_by_scipy(scores: list[float]) -> tuple[float, float] | None:
    """Loss and its one-sided p-value by scipy's test of two samples with a common variance."""
    first = scores[: min(28, max(7, len(scores) // 2))]
    last = scores[-7:]
    if len(scores) < len(first) + 7:
        return None
    return np.mean(first) - np.mean(last), ttest_ind(first, last, alternative="greater").pvalue


def kinds_by_hand(known: Evidence, tests: int) -> list[str]:
    found = []
    if known.previous is not None and known.previous < 0.01 / (4 * tests):
        found.append("previous")
    if known.first is not None and known.first < 0.01 / (10 * tests):
        found.append("first")
    drift = drift_by_scipy(list(known.scores))
    if drift and drift[0] >= 0.02 * np.mean(known.scores[: min(28, max(7, len(known.scores) // 2))]):
        found += ["drift"] if drift[1] < 0.01 / (10 * tests) else []
    return found


@pytest.mark.filterwarnings("ignore:Precision loss")
@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdef"), evidence, max_size=6), st.integers(1, 12))
def test_alarms_are_those_of_a_recomputation(known: dict[str, Evidence], tests: int) -> None:
    by_hand = {name: kinds_by_hand(each, tests) for name, each in known.items()}
    # equal scores have no p-value there
    varied = {name: each for name, each in known.items() if np.ptp(each.scores[:28]) + np.ptp(each.scores[-7:]) > 0}
    assert alarms(varied, tests) == {name: by_hand[name][0] for name in varied if by_hand[name]}


@pytest.mark.parametrize("nights", [14, 15, 33, 56, 57, 90])
def test_a_drift_is_that_of_scipy(nights: int) -> None:
    scores = list(np.random.default_rng(nights).normal(3.3, 0.05, nights) - 0.01 * np.arange(nights))
    found = drift_of(scores)
    assert found
    count = {14: 7, 15: 7, 33: 16, 56: 28, 57: 28, 90: 28}[nights]
    expected = ttest_ind(scores[-7:], scores[:count])
    assert found.first == pytest.approx(np.mean(scores[:count]), abs=1e-12)
    assert found.last == pytest.approx(np.mean(scores[-7:]), abs=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.interval == pytest.approx(list(expected.confidence_interval(0.95)), abs=1e-9)
    if found.first - found.last >= 0.02 * found.first:
        assert found.loss == pytest.approx(expected.pvalue / 2, rel=1e-9)


@pytest.mark.parametrize("count", [1, 7, 13])
def test_a_drift_needs_fourteen_evaluations(count: int) -> None:
    assert drift_of([1 - 0.05 * night for night in range(count)]) is None


@given(st.lists(st.floats(0, 10), min_size=14, max_size=80))
@settings(max_examples=200, deadline=None)
def test_scores_that_rise_are_never_a_drift(scores: list[float]) -> None:
    found = drift_of(sorted(scores))
    assert found and found.loss == 1


@pytest.mark.parametrize(("share", "alarming"), [(0.021, True), (0.019, False)])
def test_a_loss_under_two_per_cent_is_no_drift(share: float, alarming: bool) -> None:
    steady = [3.0] * 20 + [3.0 * (1 - share)] * 7
    assert alarms({"NWPU": Evidence(None, None, steady)}, 4) == ({"NWPU": "drift"} if alarming else {})


@given(st.integers(1, 40), st.floats(0, 10), st.integers(1, 50))
@settings(max_examples=100, deadline=None)
def test_equal_answers_never_alarm(images: int, score: float, nights: int) -> None:
    equal = paired_test(np.zeros(images))
    assert alarms({"LR": Evidence(equal.loss, equal.loss, [score] * nights)}, 1) == {}


@given(st.dictionaries(st.sampled_from("abcdef"), evidence, max_size=6), st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_more_tests_never_alarm_more(known: dict[str, Evidence], tests: int) -> None:
    assert set(alarms(known, tests + 1)) <= set(alarms(known, tests))


@pytest.mark.parametrize(("kind", "tests"), [("previous", 1), ("previous", 8), ("first", 1), ("first", 8)])
def test_each_kind_has_its_part_of_the_level(kind: str, tests: int) -> None:
    level = 0.01 / (tests * {"previous": 4, "first": 10}[kind])

    def alarmed(p_value: float) -> dict[str, str]:
        return dict(alarms({"LR": Evidence(None, None, [1.0])._replace(**{kind: p_value})}, tests))

    assert alarmed(level * 0.999) == {"LR": kind} and alarmed(level * 1.001) == {}


def test_all_parts_together_are_within_the_level_of_a_night() -> None:
    from tasks.reevaluating.alarms import PARTS

    assert sum(NIGHT_LEVEL / PARTS[kind] for kind in KINDS) <= NIGHT_LEVEL / 2


def test_only_new_alarms_are_reported() -> None:
    assert begun({"LR": "first", "NWPU": "drift"}, {"LR": "previous", "RSICD": "drift"}) == ["NWPU"]


def test_answering_again_with_noise_is_no_drop() -> None:
    """The same weights for 200 nights: 15 % of 50 images have another answer on 30 % of the nights."""
    random = np.random.default_rng(16)
    usual = random.gamma(1.5, 1.2, 50)
    other = np.where(random.random(50) < 0.15, random.gamma(1.5, 1.2, 50), usual)
    first = before = np.where(random.random(50) < 0.3, other, usual)
    scores, events, last = [first.mean()], 0, dict[str, str]()
    for _ in range(200):
        now = np.where(random.random(50) < 0.3, other, usual)
        scores.append(now.mean())
        found = Evidence(paired_test(now - before).loss, paired_test(now - first).loss, scores)
        alarming = alarms({"RSICD": found}, 8)
        events, last, before = events + len(begun(alarming, last)), {**alarming}, now
    assert events == 0


def test_images_that_break_one_after_the_other_are_a_drift() -> None:
    """A tenth of the score is lost over 60 nights, by images whose answers become useless; other images vary."""
    random = np.random.default_rng(30)
    usual = random.gamma(1.5, 2.2, 100)
    other = np.where(random.random(100) < 0.15, random.gamma(1.5, 2.2, 100), usual)
    scores, night = [], 0
    order = random.permutation(100)
    for night in range(75):
        broken = order[: max(0, min(night - 14, 60)) // 6]
        now = np.where(random.random(100) < 0.3, other, usual)
        now[broken] = 0
        scores.append(now.mean())
        if alarms({"RSICD": Evidence(None, None, scores)}, 8):
            break
    assert night < 74 and drift_of(scores)
