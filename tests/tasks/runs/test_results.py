"""The results of a run as tables: they have the numbers of its files."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.scored_runs import ScoredRuns

from tasks.errors import DataError
from tasks.evaluation.comparison import compare
from tasks.evaluation.data_frames import table_of
from tasks.files import read_json, read_json_lines
from tasks.paths import Workspace
from tasks.runs.index import list_runs
from tasks.runs.results import RunResult
from tasks.runs.tables import comparison_table, runs_table


@pytest.fixture
def second(scored_runs: ScoredRuns) -> RunResult:
    return RunResult(Workspace(scored_runs.workspace).run("second").root)


def test_scores_have_the_headline_score_of_each_source_and_what_it_beats(second: RunResult) -> None:
    (row,) = second.scores.reset_index().to_dict("records")
    found = read_json(second.paths.report("final") / "metrics.json")["vqa"]["LR"]
    base = read_json(second.paths.report("base") / "metrics.json")["vqa"]["LR"]
    assert (row["source"], row["metric"], row["score"]) == ("LR", "accuracy", found["accuracy"])
    assert [row["low"], row["high"]] == found["ci95"]["accuracy"]
    assert row["base"] == base["accuracy"] and row["against_base"] == "better"
    assert row["beats_blind"] is found["gain"]["shown"]
    assert row["blind"] == pytest.approx(found["accuracy"] - found["gain"]["value"])


def test_a_report_without_its_table_is_refused(scored_runs: ScoredRuns, tmp_path: Path) -> None:
    folder = tmp_path / "first"
    shutil.copytree(scored_runs.workspace / "runs" / "first", folder)
    (folder / "reports" / "final" / "per_answer.jsonl").unlink()
    assert RunResult(folder).scores.loc["LR", "score"] == 0.25
    with pytest.raises(DataError, match=r"lacks per_answer\.jsonl: evaluate the answers again"):
        _ = RunResult(folder).answers


@pytest.mark.parametrize(("table", "file"), [("answers", "per_answer.jsonl"), ("all_scores", "scores.jsonl")])
def test_tables_have_the_rows_of_both_models(second: RunResult, table: str, file: str) -> None:
    found = getattr(second, table)
    for model in ("base", "final"):
        rows = read_json_lines(second.paths.report(model) / file)
        of_model = found[found.model == model]
        assert len(of_model) == len(rows)
        kept = [name for name in ("question", "answer", "right", "metric", "value") if name in rows[0]]
        assert of_model[kept].to_dict("records") == [{name: row[name] for name in kept} for row in rows]


def test_one_model_has_its_own_tables_and_page(second: RunResult) -> None:
    base = second.model("base")
    assert set(base.answers.model) == {"base"} and base.scores.against_base.isna().all()
    page = second.report()._repr_html_()
    assert page.startswith("<iframe sandbox") and "&lt;!doctype html&gt;" in page.lower()
    # scripts of the page must not reach the notebook
    assert "<script" not in page and "allow-same-origin" not in page


def test_a_run_without_a_report_says_so(second: RunResult, tmp_path: Any) -> None:
    with pytest.raises(DataError, match=r"no report of checkpoint-9: the reports are of base, final\."):
        second.model("checkpoint-9")
    with pytest.raises(DataError, match="there is none yet"):
        _ = RunResult(tmp_path / "empty").scores


def test_what_is_printed_is_short(second: RunResult) -> None:
    values = (second, second.model(), second.report(), second.config)
    assert max(len(repr(value)) - len(str(second.folder)) for value in values) < 200
    assert "LR" in second._repr_html_() and "training=" in repr(second.config)


def test_a_comparison_has_the_verdict_of_each_metric(scored_runs: ScoredRuns) -> None:
    one, two = (Workspace(scored_runs.workspace).run(name).report("final") for name in ("first", "second"))
    expected = compare(one, two, None)
    found = comparison_table([expected], ["second"])
    row = found.loc[("second", "LR", "accuracy")]
    accuracy = expected["vqa"]["LR"]["accuracy"]
    assert isinstance(accuracy, dict)
    assert (row.a, row.b, row.verdict) == (accuracy["a"], accuracy["b"], accuracy["verdict"])
    assert row.p == accuracy["p_adjusted"] and row.difference == pytest.approx(row.b - row.a)


def test_the_table_of_runs_has_a_row_for_each_and_its_scores(scored_runs: ScoredRuns) -> None:
    found = runs_table(list_runs(scored_runs.workspace))
    assert {"first", "second"} <= set(found.index)
    assert found.loc["second", "LR"] == 1 and found.loc["second", "state"] == "complete"


def test_a_table_without_rows_has_its_columns() -> None:
    assert list(table_of([], ("a", "b")).columns) == ["a", "b"] and len(table_of([])) == 0
