"""Evaluations of hand-made reports, night after night: which reports are compared, and which events are emitted."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.evaluation.comparison import compare
from tasks.files import write_json, write_json_lines
from tasks.manifests import write_manifest
from tasks.records import ReportRef
from tasks.reevaluating import steps
from tasks.reevaluating.history import Evaluation, read_history
from tasks.reevaluating.stored_models import StoredModel
from tasks.storage.folder_upload import archive_folder
from tasks.storage.local_store import LocalStore
from tasks.storage.runs import Run

IMAGES = 40
Keep = Callable[..., Evaluation]


def write_report(folder: Path, right: int, protocol: str = "p") -> ReportRef:
    """A report on 40 images with a question each, the first `right` of them answered correctly."""
    folder.mkdir(parents=True)
    of_source = {"images": IMAGES, "questions": IMAGES, "accuracy": right / IMAGES, "ci95": {"accuracy": None}}
    scores = {"protocol": {"version": 1, "vqa": protocol, "fingerprint": protocol}, "captioning": {}}
    write_json(folder / "metrics.json", {**scores, "vqa": {"LR": of_source}})
    rows = [
        {"record": n, "turn": 0, "task": "vqa", "source": "LR", "image": f"LR/{n}.tif", "right": n < right}
        for n in range(IMAGES)
    ]
    write_json_lines(folder / "per_answer.jsonl", rows)
    write_manifest(folder, f"{folder}")
    return ReportRef(path=folder, sha256="0" * 64, model="final")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(steps, "emit_event", lambda **event: found.append(event["payload"]))
    monkeypatch.setattr(steps, "get_run_logger", lambda: logging.getLogger("night"))
    return found


@pytest.fixture
def run(tmp_path: Path) -> Run:
    store = tmp_path / "store"
    store.mkdir()
    (store / "run").mkdir()
    (store / "run" / "experiment.yaml").touch()
    return Run(name="run", workspace_root=tmp_path / "workspace", store_uri=store.as_uri(), store_name="run")


@pytest.fixture
def keep(events: list[dict[str, Any]], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keep:
    """Evaluate the final model with a number of right answers, under a new key."""
    store = LocalStore(tmp_path / "store")
    monkeypatch.setattr(steps, "open_run_store", lambda _: store)
    count = iter(range(1000))

    def evaluate(right: int, protocol: str = "p", models: int = 1) -> Evaluation:
        night = next(count)
        report = write_report(tmp_path / "reports" / f"{night}", right, protocol)
        model = StoredModel(label="final", weights="w")
        return steps.keep_evaluation.fn(run, model, report, f"{night:016d}", "2026-01-01T00:00:00+00:00", models)

    return evaluate


def test_a_drop_is_reported_once_while_it_lasts(keep: Keep, events: list[dict[str, Any]], tmp_path: Path) -> None:
    found = [keep(right) for right in (36, 36, 12, 12, 12, 36, 12)]
    assert [each.verdict for each in found] == ["first", "tie", "worse", "worse", "worse", "better", "worse"]
    assert [each.alarms.get("LR") for each in found] == [None, None, "previous", "first", "first", None, "previous"]
    assert len(events) == 2
    by_hand = compare(tmp_path / "reports" / "1", tmp_path / "reports" / "2", None)["vqa"]["LR"]["accuracy"]
    assert isinstance(by_hand, dict)
    expected = {
        **{"run": "run", "model": "final", "step": None, "source": "LR", "metric": "accuracy", "kind": "previous"},
        **{"before": 0.9, "now": 0.3, "difference": pytest.approx(-0.6), "interval": by_hand["ci95"]},
        "p_value": by_hand["p_value"],
    }
    assert events[0] == expected


def test_a_slow_loss_is_reported_against_the_first_report(keep: Keep, events: list[dict[str, Any]]) -> None:
    found = [keep(right) for right in range(40, 10, -2)]
    assert [event["kind"] for event in events] == ["first"]
    assert events[0]["before"] == 1 and events[0]["now"] <= 0.75
    alarming = next(number for number, each in enumerate(found) if each.alarms)
    assert found[alarming].changes["LR"]["verdict"] == "tie"
    assert found[alarming].since_first["LR"]["verdict"] == "worse"


def test_a_drift_is_reported_with_the_means_of_its_evaluations(keep: Keep, events: list[dict[str, Any]]) -> None:
    found = [keep(40) for _ in range(20)] + [keep(38) for _ in range(7)]
    assert [event["kind"] for event in events] == ["drift"]
    assert events[0]["before"] == 1 and 0.95 <= events[0]["now"] <= 0.98
    assert found[-1].drift["LR"]["b"] == pytest.approx(0.95)


def test_another_protocol_starts_a_new_baseline(keep: Keep, events: list[dict[str, Any]]) -> None:
    found = [keep(40), keep(40), keep(10, "q"), keep(10, "q"), keep(40)]
    assert [each.verdict for each in found] == ["first", "tie", "not comparable", "tie", "not comparable"]
    assert found[3].since_first["LR"]["a"] == 0.25
    assert events == []


def test_the_experiments_own_report_is_the_first(
    keep: Keep, events: list[dict[str, Any]], tmp_path: Path, run: Run
) -> None:
    write_report(tmp_path / "own" / "final", 40)
    write_manifest(tmp_path / "own", "own")
    archive_folder(tmp_path / "own", LocalStore(tmp_path / "store"), "run/reports")
    found = [keep(38), keep(37)]
    assert [(each.changes["LR"]["a"], each.since_first["LR"]["a"]) for each in found] == [(1, 1), (0.95, 1)]


@pytest.mark.parametrize("damage", ["missing", "manifest", "file", "bytes"])
def test_a_lost_first_report_is_one_warning(
    keep: Keep, tmp_path: Path, run: Run, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = keep(40), keep(39)
    folder = tmp_path / "store" / first.report
    lost = {"missing": "MANIFEST.json", "manifest": "MANIFEST.json", "file": "metrics.json", "bytes": "metrics.json"}
    file = folder / lost[damage]
    if damage in ("missing", "file"):
        file.unlink()
    else:
        file.write_bytes(b"x" * file.stat().st_size)
    if run.folder.fetched.exists():
        run.folder.fetched.rename(tmp_path / "another machine")
    caplog.clear()
    third = keep(38)
    (message,) = [record.getMessage() for record in caplog.records if record.name == "night"]
    assert message.startswith("The first report on final (") and first.report in message
    assert third.since_first == {} and third.changes["LR"]["a"] == second.scores["LR"]["value"]
    assert third.verdict == "tie"


def test_the_event_comes_before_the_entry(
    keep: Keep, events: list[dict[str, Any]], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(40)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(steps, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            keep(10)
    assert len(events) == 1 and len(read_history(LocalStore(tmp_path / "store"), "run")) == 1
    keep(10)
    assert len(events) == 2
