"""Reports held against each other: two, several, and those of a run's checkpoints."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import DataError, UserError
from tasks.evaluation.checkpoint_curve import reports_of_checkpoints
from tasks.evaluation.comparison import compare, compare_several
from tasks.records import ReportRef
from tasks.settings import EvaluationConfig

QUESTIONS = [("Is there a road?", "yes"), ("How many roads are there?", "3")]
CONFIG = EvaluationConfig(bootstrap_draws=50, gallery=6)
ONLY_CLEAN = CONFIG.model_copy(update={"only_clean": True})
Evaluate = Callable[..., ReportRef]


def test_two_reports_are_compared(report: Evaluate, tmp_path: Path) -> None:
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


def test_reports_of_different_test_sets_are_refused(
    report: Evaluate, vqa_files: dict[str, Path], write: Any, record: Any
) -> None:
    vqa_files["other"] = write("other.json", [record("LR/Train/70.tif", QUESTIONS)])
    other = report("other", "reports/other", data=vqa_files["other"])
    with pytest.raises(UserError, match="different test sets"):
        compare(report().path, other.path, None)


def test_reports_of_different_decoding_are_refused(
    report: Evaluate, vqa_files: dict[str, Path], write: Any, tmp_path: Path
) -> None:
    write("predicted/STARTED.json", {"inputs": {"inference.history": "predicted", "model": "x"}})
    shutil.copy(vqa_files["good"], tmp_path / "predicted" / "final.json")
    vqa_files["predicted"] = tmp_path / "predicted" / "final.json"
    with pytest.raises(UserError, match="different protocols \\(decoding differ\\)"):
        compare(report().path, report("predicted", "reports/predicted").path, None)


def test_other_bootstrap_draws_do_not_hinder_a_comparison(report: Evaluate) -> None:
    other = report("bad", "reports/base", config=EvaluationConfig(bootstrap_draws=20))
    assert compare(other.path, report().path, None)["vqa"]["LR"]["accuracy"]["verdict"] == "better"


def test_a_folder_without_a_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no whole report"):
        compare(tmp_path, tmp_path, None)


def test_several_models_are_judged_by_holms_correction(report: Evaluate, tmp_path: Path) -> None:
    base, good = report("bad", "reports/base"), report()
    found = compare_several(base.path, [good.path, base.path, base.path], tmp_path / "several.json")
    each = [one["vqa"]["LR"]["accuracy"] for one in found["comparisons"]]
    assert each[0]["p_value_holm"] == pytest.approx(3 * each[0]["p_value"])
    assert [one["verdict"] for one in each] == ["better", "tie", "tie"]
    assert json.loads((tmp_path / "several.json").read_text()) == found


def test_a_difference_that_one_comparison_would_show_may_be_a_tie_among_many(report: Evaluate) -> None:
    base, good = report("bad", "reports/base"), report()
    assert compare(base.path, good.path, None)["vqa"]["LR"]["accuracy"]["verdict"] == "better"
    found = compare_several(base.path, [good.path] * 12, None)["comparisons"]
    assert {one["vqa"]["LR"]["accuracy"]["verdict"] for one in found} == {"tie"}


def test_curves_leave_out_what_was_scored_otherwise(
    report: Evaluate, vqa_files: dict[str, Path], write: Any, record: Any
) -> None:
    vqa_files["other"] = write("other.json", [record("LR/Train/70.tif", QUESTIONS)])
    other = report("other", "reports/checkpoint-30", data=vqa_files["other"])
    first, second = report("bad", "reports/checkpoint-9"), report("bad", "reports/checkpoint-20")
    page = (report(checkpoints=(second.path, other.path, first.path)).path / "report.html").read_text()
    assert 'aria-label="LR accuracy: 9 0.000; 20 0.000; final 1.000"' in page
    assert "scored otherwise: checkpoint-30." in page


def test_the_checkpoints_of_a_run_are_found_in_the_order_of_their_steps(report: Evaluate, tmp_path: Path) -> None:
    for name in ("checkpoint-20", "checkpoint-9", "final"):
        report("bad", f"reports/{name}")
    (tmp_path / "reports" / "checkpoint-30").mkdir()
    assert [ref.model for ref in reports_of_checkpoints(tmp_path / "reports")] == ["checkpoint-9", "checkpoint-20"]
