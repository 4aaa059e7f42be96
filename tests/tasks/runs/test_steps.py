"""The table of an experiment's result."""

from support.scored_runs import ScoredRuns

from tasks.paths import Workspace
from tasks.runs.scores import RunScore, read_scores
from tasks.runs.steps import result_markdown, verdict_in_words


def test_a_row_has_the_tuned_models_score_beside_base_and_image_blind_baseline(scored_runs: ScoredRuns) -> None:
    scores = read_scores(Workspace(scored_runs.workspace).run("second"))
    verdict, _, head, _, row = result_markdown(scores).split("\n")
    assert verdict.startswith("**The tuned model is better than base on 1 of 1 source")
    cells = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert (cells["| source"], cells["score"], cells["tuned"], cells["base"]) == ("| LR", "accuracy", "1.000", "0.000")
    assert cells["verdict |"] == f"{verdict_in_words(scores['LR'])} |"


def test_a_verdict_names_base_and_baselines_as_far_as_they_are_known() -> None:
    score = RunScore(metric="accuracy", value=0.5, ci95=None, base=0.5, verdict="tie", blind=0.4, sees=False)
    assert verdict_in_words(score) == "like the base model, not shown to be better than image-blind baselines"
    assert verdict_in_words(score.model_copy(update={"verdict": None, "sees": None})) == "not compared"
