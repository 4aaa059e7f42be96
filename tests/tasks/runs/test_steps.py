"""The table of an experiment's result."""

from support.scored_runs import ScoredRuns

from tasks.paths import Workspace
from tasks.runs.scores import RunScore, read_scores
from tasks.runs.steps import score_row, verdict_in_words


def test_a_row_has_the_tuned_models_score_beside_base_and_image_blind_baseline(scored_runs: ScoredRuns) -> None:
    scores = read_scores(Workspace(scored_runs.workspace).run("second"))
    row = score_row("LR", scores["LR"])
    assert (row["source"], row["score"], row["tuned"], row["base"]) == ("LR", "accuracy", 1.0, 0.0)
    assert row["verdict"] == verdict_in_words(scores["LR"])
    assert str(row["verdict"]).startswith("better than the base model")


def test_a_verdict_names_base_and_baselines_as_far_as_they_are_known() -> None:
    score = RunScore(metric="accuracy", value=0.5, ci95=None, base=0.5, verdict="tie", blind=0.4, sees=False)
    assert verdict_in_words(score) == "like the base model, not shown to be better than image-blind baselines"
    assert verdict_in_words(score.model_copy(update={"verdict": None, "sees": None})) == "not compared"
