"""Probabilities next to the answers: how they reach the rows, the scores and the page."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import DataError, UserError
from tasks.evaluation.comparison import compare
from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
from tasks.files import read_json, read_json_lines, sha256_of
from tasks.records import ReportRef
from tasks.settings import EvaluationConfig


@pytest.fixture
def report_with(vqa_files: dict[str, Path], tmp_path: Path) -> Callable[..., ReportRef]:
    """A function (rows, sha256 of the answers) -> the report of "bad" answers next to these probabilities."""

    def make(rows: list[dict[str, Any]], sha256: str | None = None, out: str = "out") -> ReportRef:
        value = {"version": 1, "answers_sha256": sha256 or sha256_of(vqa_files["bad"]), "probabilities": rows}
        (tmp_path / "probabilities.json").write_text(json.dumps(value))
        files = EvaluationFiles(vqa_files["test"], vqa_files["bad"])
        return evaluate(files, tmp_path / out, EvaluationConfig(bootstrap_draws=50, gallery=4))

    return make


# of eight images, a road that is there, and a count; all answers are "no"
ROWS = [{"record": n, "turn": turn, "probability": (n + 1) / 10} for n in range(8) for turn in (0, 1)]


def test_probabilities_are_in_the_rows_the_scores_and_the_page(report_with: Callable[..., ReportRef]) -> None:
    folder = report_with(ROWS[:-1]).path
    rows = read_json_lines(folder / "per_answer.jsonl")
    assert [row["probability"] for row in rows] == [*(row["probability"] for row in ROWS[:-1]), None]
    found = read_json(folder / "metrics.json")["vqa"]["LR"]["calibration"]
    # every answer is wrong, so the error is the mean probability
    assert (found["answers"], found["AUROC"]) == (15, None)
    assert found["ECE"] == pytest.approx(sum(row["probability"] for row in ROWS[:-1]) / 15, abs=1e-12)
    flat = {row["metric"]: row["value"] for row in read_json_lines(folder / "scores.jsonl") if row["type"] == "all"}
    assert (flat["calibration.ECE"], flat["calibration.answers"]) == (found["ECE"], 15)
    assert "Calibration of the answers" in (folder / "report.html").read_text()


def test_without_probabilities_calibration_is_null(report: Callable[..., ReportRef]) -> None:
    folder = report().path
    assert read_json(folder / "metrics.json")["vqa"]["LR"]["calibration"] is None
    assert {row["probability"] for row in read_json_lines(folder / "per_answer.jsonl")} == {None}
    assert "Calibration of the answers" not in (folder / "report.html").read_text()


def test_probabilities_of_other_answers_are_not_used(report_with: Callable[..., ReportRef]) -> None:
    folder = report_with(ROWS, "0" * 64).path
    assert read_json(folder / "metrics.json")["vqa"]["LR"]["calibration"] is None


def test_a_damaged_file_of_probabilities_is_refused(report_with: Callable[..., ReportRef]) -> None:
    with pytest.raises(DataError, match=r"probabilities\.json holds no probabilities"):
        report_with([{"record": 0}])


@pytest.mark.parametrize("probability", [-0.1, 1.5, "nan", "inf", None])
def test_a_value_that_is_no_probability_is_refused(report_with: Callable[..., ReportRef], probability: object) -> None:
    with pytest.raises(DataError, match=r"probabilities\.json holds no probabilities"):
        report_with([*ROWS[1:], {**ROWS[0], "probability": probability}])


def test_other_probabilities_make_another_report(report_with: Callable[..., ReportRef]) -> None:
    report_with(ROWS)
    with pytest.raises(UserError, match="already holds something other"):
        report_with(ROWS[1:])


def test_reports_with_and_without_probabilities_are_compared(
    report_with: Callable[..., ReportRef], report: Callable[..., ReportRef]
) -> None:
    plain = report("bad", out="plain")
    found = compare(plain.path, report_with(ROWS).path, None)
    assert found["vqa"]["LR"]["accuracy"]["difference"] == 0  # type: ignore[index]
