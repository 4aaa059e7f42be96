"""Histories of scores, and their tables and pictures."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.reevaluating.history import CHECKPOINT_SCORES, Evaluation, append, last_evaluation, read_history
from tasks.reevaluating.pages import (
    checkpoint_rows,
    checkpoint_scores,
    draw_checkpoints,
    draw_history,
    history_rows,
    objectives,
)
from tasks.storage.local_store import LocalStore


def evaluation(model: str, value: float, key: str = "key") -> Evaluation:
    return Evaluation(
        time="2026-01-01T00:00:00+00:00",
        model=model,
        step=None,
        key=key,
        protocol="p",
        report="run/evaluations/x",
        scores={"LR": {"metric": "accuracy", "value": value, "ci95": [value - 0.1, value + 0.1]}},
        changes={},
        verdict="first",
    )


def test_concurrent_writers_get_different_numbers(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.create_text("run/experiment.yaml", "")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: append(store, "run", evaluation("final", number / 10)), range(8)))
    history = read_history(store, "run")
    assert [each.number for each in history] == list(range(1, 9))
    assert sorted(each.scores["LR"]["value"] for each in history) == [number / 10 for number in range(8)]


def test_the_last_evaluation_is_that_of_the_same_model(tmp_path: Path) -> None:
    history = [evaluation("final", 0.1, "a"), evaluation("base", 0.2, "b"), evaluation("final", 0.3, "c")]
    last = last_evaluation([*history, evaluation("base", 0.4, "d")], "final")
    assert last and last.key == "c"
    assert last_evaluation(history, "newest") is None


def test_the_error_names_a_damaged_entry(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.create_text("run/history/000001.json", "{")
    with pytest.raises(StoreError, match=r"000001\.json is damaged"):
        read_history(store, "run")


def stored(tmp_path: Path, **changed: object) -> Evaluation:
    """An entry that is read after keys of it were changed; None removes a key."""
    entry = {**evaluation("final", 0.5).model_dump(mode="json"), **changed}
    store = LocalStore(tmp_path)
    text = json.dumps({key: value for key, value in entry.items() if value is not None or key == "step"})
    store.create_text("run/history/000001.json", text)
    (found,) = read_history(store, "run")
    return found


CHANGE = {"metric": "accuracy", "a": 0.9, "b": 0.5, "difference": -0.4, "ci95": [-0.5, -0.3], "p_value": 0.001}


def test_entries_of_earlier_versions_alarm_by_their_verdicts(tmp_path: Path) -> None:
    changes = {"LR": {**CHANGE, "verdict": "worse"}, "NWPU": {**CHANGE, "verdict": "tie"}}
    found = stored(tmp_path, changes=changes, verdict="worse", alarms=None, since_first=None, drift=None)
    assert (found.alarms, found.dropped, found.since_first) == ({"LR": "previous"}, ["LR"], {})


def test_keys_of_later_versions_are_skipped(tmp_path: Path) -> None:
    changes = {"LR": {**CHANGE, "verdict": "worse", "power": 0.8}}
    scores = {"LR": {"metric": "accuracy", "value": 0.5, "ci95": None, "median": 0.4}}
    found = stored(tmp_path, changes=changes, scores=scores, alarms={"LR": "sudden"}, objective=1.5)
    assert found.alarms == {"LR": "sudden"} and found.scores["LR"]["value"] == 0.5
    assert history_rows([found])[0]["alarm"] == "sudden"


@pytest.mark.parametrize("changed", [{"scores": {"LR": {"metric": "accuracy"}}}, {"changes": [1]}, {"key": None}])
def test_entries_that_lack_something_are_damaged(tmp_path: Path, changed: dict[str, object]) -> None:
    with pytest.raises(StoreError, match=r"000001\.json is damaged"):
        stored(tmp_path, **changed)


def test_table_and_picture_show_every_evaluation() -> None:
    history = [evaluation("final", 0.1), evaluation("final", 0.3)]
    assert [row["value"] for row in history_rows(history)] == [0.3, 0.1]
    picture = draw_history(history)
    assert picture.count("<circle") == 2 and "final: LR accuracy" in picture and 'class="alarm"' not in picture


def test_table_and_picture_name_alarms_and_new_baselines() -> None:
    change = {**CHANGE, "verdict": "worse"}
    plain = [evaluation("final", 0.5).model_copy(update={"number": number}) for number in range(1, 5)]
    changed = plain[1].model_copy(update={"verdict": "not comparable"})
    low = plain[2].model_copy(update={"verdict": "worse", "since_first": {"LR": change}, "alarms": {"LR": "first"}})
    down = plain[3].model_copy(update={"verdict": "worse", "changes": {"LR": change}, "alarms": {"LR": "drift"}})
    rows = history_rows([plain[0], changed, low, down])
    assert [row["alarm"] for row in rows] == ["drifting down", "lower than the first report", "", ""]
    assert [row["compared with the first"] for row in rows[1:]] == [
        "worse: -0.4000 (-0.500 to -0.300)",
        "new baseline: the protocol or the test set has changed",
        "first",
    ]
    assert rows[0]["compared with the last"] == "worse: -0.4000 (-0.500 to -0.300)"
    assert ">2: new baseline; 3: lower than the first report<" in draw_history([plain[0], changed, low])
    assert ">...; 3: lower than the first report; 4: drifting down<" in draw_history([plain[0], changed, low, down])


def scored(step: int, value: float, name: str = "", protocol: str = "p") -> Evaluation:
    found = evaluation(name or f"checkpoint-{step}", value)
    return found.model_copy(update={"step": step, "protocol": protocol})


def test_checkpoint_scores_have_a_separate_history(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.create_text("run/experiment.yaml", "")
    append(store, "run", scored(1, 0.5), CHECKPOINT_SCORES)
    assert read_history(store, "run") == []
    assert [each.number for each in read_history(store, "run", CHECKPOINT_SCORES)] == [1]


def test_checkpoint_scores_are_ordered_by_step_with_the_last_evaluation_of_each() -> None:
    history = [scored(1000, 0.4), scored(200, 0.2), scored(200, 0.3), scored(200, 0.1, "checkpoint-200-2")]
    scores = checkpoint_scores(history)
    rows = checkpoint_rows(scores)
    assert [(row["checkpoint"], row["LR accuracy"]) for row in rows] == [("200", 0.3), ("200-2", 0.1), ("1000", 0.4)]
    picture = draw_checkpoints(scores)
    assert picture.count("<circle") == 3 and "LR accuracy: 200 0.300; 200-2 0.100; 1000 0.400" in picture


def test_the_objective_counts_from_the_first_evaluation_of_a_protocol() -> None:
    numbered = [
        scored(300, 0.5).model_copy(update={"number": 1}),
        scored(100, 0.9).model_copy(update={"number": 2}),
        scored(200, 0.1).model_copy(update={"number": 3}),
        scored(400, 0.7, protocol="other images").model_copy(update={"number": 4}),
    ]
    (low, high) = numbered[0].scores["LR"]["ci95"] or (0, 0)
    error = (high - low) / (2 * 1.96)
    found = objectives(numbered)
    assert found == [0, pytest.approx(0.4 / error), pytest.approx(-0.4 / error), 0]
    rows = checkpoint_rows(checkpoint_scores(numbered[:3]))
    assert [(row["checkpoint"], row["objective"], row[""]) for row in rows] == [
        ("100", round(0.4 / error, 2), "best"),
        ("200", round(-0.4 / error, 2), ""),
        ("300", 0, ""),
    ]
    assert [row["objective"] for row in history_rows(numbered[:1])] == [0]


def test_evaluations_without_intervals_have_no_objective() -> None:
    single = scored(1, 0.5)
    bare = single.model_copy(update={"scores": {"LR": {**single.scores["LR"], "ci95": None}}})
    assert objectives([bare, single]) == [None, None]
    assert [row[""] for row in checkpoint_rows([bare])] == [""]


def test_scores_on_other_images_are_left_out_of_the_curve() -> None:
    history = [scored(1, 0.9, protocol="other images"), scored(2, 0.2), scored(1, 0.1)]
    assert [each.scores["LR"]["value"] for each in checkpoint_scores(history)] == [0.1, 0.2]
