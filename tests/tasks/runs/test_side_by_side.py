"""Examples of two models on the same questions."""

from typing import Any

from tasks.evaluation.report_folder import read_report
from tasks.runs.side_by_side import BETTER, MOST, RIGHT, WRONG, choose_answers


def rows_of(scored_runs: Any, name: str) -> Any:
    return read_report(scored_runs.workspace / "runs" / name / "reports" / "final").rows


def test_examples_say_which_model_is_better(scored_runs: Any) -> None:
    found = choose_answers(rows_of(scored_runs, "first"), rows_of(scored_runs, "second"))
    assert [each.change for each in found] == [BETTER] * MOST + [RIGHT] * MOST
    better = found[0]
    assert (better.source, better.scores) == ("LR", (0.0, 1.0))
    # an image has two questions, and each is shown once before any is shown twice
    assert len({each.image for each in found if each.change == BETTER}) == MOST


def test_where_both_are_wrong_it_says_so(scored_runs: Any) -> None:
    rows = rows_of(scored_runs, "first")
    found = choose_answers(rows, rows)
    assert {each.change for each in found} == {RIGHT, WRONG}
    assert ("<b>no</b>", "<b>no</b>") in {each.answers for each in found}
