"""The objective of validations, recomputed by hand, and the same after a resume."""

import math

import pytest

from tasks.evaluation.uncertainty.intervals import RIGHT_SKEWED, Range, proportion_interval, score_interval
from tasks.training.validation_objective import PREFIX, ScoredAnswer, objective_log, scores_by_source

CAPTIONS = [ScoredAnswer("captioning", f"NWPU/{n}.png", score) for n, score in enumerate([0.2, 1.5, 3.0, 0.9])]
QUESTIONS = [ScoredAnswer("vqa", f"LR/{n % 3}.tif", score) for n, score in enumerate([1.0, 0.0, 1.0, 1.0, 1.0, 0.0])]
BETTER = [
    *(each._replace(score=each.score + 0.4) for each in CAPTIONS),
    *QUESTIONS[:5],
    QUESTIONS[5]._replace(score=1.0),
]


def logged(answers: list[ScoredAnswer], history: list[dict[str, float]]) -> dict[str, float]:
    """A line of the log, as the trainer writes it."""
    return {PREFIX + name: value for name, value in objective_log(scores_by_source(answers), history).items()}


def test_scores_have_the_intervals_of_the_report() -> None:
    import numpy as np

    found = scores_by_source([*CAPTIONS, *QUESTIONS])
    values = np.array([each.score for each in CAPTIONS])
    assert found["NWPU"]["value"] == pytest.approx(1.4)
    assert found["NWPU"]["ci95"] == pytest.approx(score_interval(values, Range(0, 10), RIGHT_SKEWED))
    assert found["LR"] == {
        "metric": "accuracy",
        "value": pytest.approx(4 / 6),
        "ci95": pytest.approx(proportion_interval(np.array([2.0, 1.0, 1.0]), np.array([2.0, 2.0, 2.0]))),
    }


def test_the_first_validation_is_the_reference_also_after_a_resume() -> None:
    first = logged([*CAPTIONS, *QUESTIONS], [])
    assert first["eval_score"] == 0
    gains = [0.4 / first["eval_error_NWPU"], (1 / 6) / first["eval_error_LR"]]
    between = {"loss": 2.0, "step": 3}
    second = logged(BETTER, [between, first])
    assert second["eval_score"] == pytest.approx(sum(gains) / math.sqrt(2))
    # a later one does not become the reference
    assert logged(BETTER, [between, first, second])["eval_score"] == second["eval_score"]


def test_a_source_of_one_image_has_no_part_in_the_objective() -> None:
    single = [ScoredAnswer("vqa", "DOTA/0.png", 0.0)]
    first = logged([*CAPTIONS, *single], [])
    assert first["eval_source_DOTA"] == 0 and "eval_error_DOTA" not in first
    second = logged([*CAPTIONS, single[0]._replace(score=1.0)], [first])
    assert second["eval_score"] == 0


def test_without_any_interval_the_objective_is_the_mean() -> None:
    singles = [ScoredAnswer("vqa", "DOTA/0.png", 0.0), ScoredAnswer("vqa", "LR/0.png", 1.0)]
    first = logged(singles, [])
    assert first["eval_score"] == pytest.approx(0.5)
    assert logged([singles[0]._replace(score=1.0), singles[1]], [first])["eval_score"] == pytest.approx(1)
