"""Reports read from their folders: compared, refused, and along the checkpoints of a run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from tasks.errors import DataError, UserError
from tasks.evaluation.comparison import compare, compare_several
from tasks.evaluation.report_folder import reports_of_checkpoints
from tasks.manifests import write_manifest
from tasks.records import ReportRef
from tasks.settings import EvaluationConfig

QUESTIONS = [("Is there a road?", "yes"), ("How many roads are there?", "3")]
CONFIG = EvaluationConfig(gallery=6)
ONLY_CLEAN = CONFIG.model_copy(update={"only_clean": True})
Evaluate = Callable[..., ReportRef]


def test_comparing_two_reports_writes_the_result(report: Evaluate, tmp_path: Path) -> None:
    bad, _good = report("bad", "reports/base"), report()
    out = tmp_path / "reports" / "comparison.json"
    # the folder of a run's reports stands for its final
    result = compare(bad.path, tmp_path / "reports", out)
    assert (result["a"]["model"], result["b"]["model"]) == ("base", "final")
    assert result["vqa"]["LR"]["accuracy"]["verdict"] == "better"
    assert json.loads(out.read_text()) == result
    assert compare(bad.path, tmp_path / "reports", out) == result


def test_another_comparison_is_not_overwritten(report: Evaluate, tmp_path: Path) -> None:
    bad, good = report("bad", "reports/base"), report()
    compare(bad.path, good.path, tmp_path / "comparison.json")
    with pytest.raises(UserError, match="already holds something else"):
        compare(good.path, bad.path, tmp_path / "comparison.json")


def test_reports_on_different_test_sets_are_refused(
    report: Evaluate, vqa_files: dict[str, Path], write: Any, record: Any
) -> None:
    vqa_files["other"] = write("other.json", [record("LR/Train/70.tif", QUESTIONS)])
    other = report("other", "reports/other", data=vqa_files["other"])
    with pytest.raises(UserError, match="different test sets"):
        compare(report().path, other.path, None)


def test_reports_with_different_decoding_are_refused(
    report: Evaluate, vqa_files: dict[str, Path], write: Any, tmp_path: Path
) -> None:
    write("predicted/STARTED.json", {"inputs": {"inference.history": "predicted", "model": "x"}})
    shutil.copy(vqa_files["good"], tmp_path / "predicted" / "final.json")
    vqa_files["predicted"] = tmp_path / "predicted" / "final.json"
    with pytest.raises(UserError, match="different protocols, in decoding"):
        compare(report().path, report("predicted", "reports/predicted").path, None)


def test_reports_with_different_bootstrap_draws_can_be_compared(report: Evaluate) -> None:
    other = report("bad", "reports/base", config=EvaluationConfig())
    assert compare(other.path, report().path, None)["vqa"]["LR"]["accuracy"]["verdict"] == "better"


def test_a_folder_without_a_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no complete report"):
        compare(tmp_path, tmp_path, None)


def test_several_models_are_compared_with_holms_correction(report: Evaluate, tmp_path: Path) -> None:
    base, good = report("bad", "reports/base"), report()
    found = compare_several(base.path, [good.path, base.path, base.path], tmp_path / "several.json")
    each = [one["vqa"]["LR"]["accuracy"] for one in found["comparisons"]]
    assert each[0]["p_value_holm"] == pytest.approx(3 * each[0]["p_value"])
    assert [one["verdict"] for one in each] == ["better", "tie", "tie"]
    assert json.loads((tmp_path / "several.json").read_text()) == found


def test_a_difference_may_be_significant_alone_and_a_tie_among_many(report: Evaluate) -> None:
    base, good = report("bad", "reports/base"), report()
    assert compare(base.path, good.path, None)["vqa"]["LR"]["accuracy"]["verdict"] == "better"
    found = compare_several(base.path, [good.path] * 12, None)["comparisons"]
    assert {one["vqa"]["LR"]["accuracy"]["verdict"] for one in found} == {"tie"}


def test_curves_leave_out_reports_under_another_protocol(
    report: Evaluate, vqa_files: dict[str, Path], write: Any, record: Any
) -> None:
    vqa_files["other"] = write("other.json", [record("LR/Train/70.tif", QUESTIONS)])
    other = report("other", "reports/checkpoint-30", data=vqa_files["other"])
    first, second = report("bad", "reports/checkpoint-9"), report("bad", "reports/checkpoint-20")
    page = (report(checkpoints=(second.path, other.path, first.path)).path / "report.html").read_text()
    assert 'aria-label="LR accuracy: 9 0.000; 20 0.000; final 1.000"' in page
    assert "scored under another protocol: checkpoint-30." in page


def test_reports_of_checkpoints_are_in_the_order_of_their_steps(report: Evaluate, tmp_path: Path) -> None:
    for name in ("checkpoint-20", "checkpoint-9", "final"):
        report("bad", f"reports/{name}")
    (tmp_path / "reports" / "checkpoint-30").mkdir()
    assert [ref.model for ref in reports_of_checkpoints(tmp_path / "reports")] == ["checkpoint-9", "checkpoint-20"]


ROW = {"record": 0, "turn": 0, "source": "LR", "image": "LR/Train/1.tif", "right": True}
METRICS = {
    "a list": "[]",
    "null": "null",
    "no protocol": "{}",
    "a protocol of words": '{"protocol": "mine"}',
    "endless lists": "[" * 9999,
    "5,000 digits": '{"protocol": {"version": ' + "9" * 5000 + "}}",
    "NaN": '{"protocol": {"version": NaN}}',
}
ROWS = {
    "a number": "1",
    "a list": "[]",
    "nothing in it": "{}",
    "no image": '{"record": 0, "turn": 0, "source": "LR"}',
    "endless objects": '{"a":' * 9999,
    "5,000 digits": "9" * 5000,
}


def damaged_report(folder: Path, metrics: str, row: str) -> str:
    folder.mkdir()
    (folder / "metrics.json").write_text(metrics)
    (folder / "per_answer.jsonl").write_text(f"{row}\n")
    write_manifest(folder, folder.name)
    return str(folder)


@pytest.mark.parametrize(
    ("metrics", "row"),
    [
        *(pytest.param(text, json.dumps(ROW), id=f"metrics: {name}") for name, text in METRICS.items()),
        *(pytest.param('{"protocol": {}}', text, id=f"answers: {name}") for name, text in ROWS.items()),
    ],
)
def test_comparing_a_damaged_report_fails_with_one_line(
    metrics: str, row: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [damaged_report(tmp_path / name, metrics, row) for name in ("a", "b")]
    assert main(["compare", *folders, "--out", str(tmp_path / "out.json")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and len(error.splitlines()) == 1
    assert not (tmp_path / "out.json").exists()
