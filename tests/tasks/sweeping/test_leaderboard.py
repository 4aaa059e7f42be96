"""The leaderboard: ranks, verdicts and objectives."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from tasks.errors import UserError
from tasks.evaluation.headline import HeadlineScore
from tasks.evaluation.objective import reference_of
from tasks.files import write_json, write_json_lines
from tasks.manifests import write_manifest
from tasks.sweeping.config import Objective
from tasks.sweeping.leaderboard import TASKS, ScoredPoint, claim_reference, rank, read_reference, score_of
from tasks.sweeping.pages import LINEAR_SPAN, Axis, draw_importance, render_sweep

IMAGES = 60


def write_report(folder: Path, right: int) -> Path:
    """A report on questions about `IMAGES` images, the first `right` of them answered correctly."""
    folder.mkdir(parents=True)
    rows = [
        {
            **{"task": "vqa", "source": "LR", "image": f"{number}.tif", "record": number, "turn": 0},
            "right": float(number < right),
        }
        for number in range(IMAGES)
    ]
    accuracy = right / IMAGES
    metrics = {
        "protocol": {"test_set": "one", "shuffling_seed": 28},
        "captioning": {},
        "vqa": {"LR": {"accuracy": accuracy, "ci95": {"accuracy": [accuracy - 0.1, accuracy + 0.1]}}},
    }
    write_json(folder / "metrics.json", metrics)
    write_json_lines(folder / "per_answer.jsonl", rows)
    write_manifest(folder, "a report")
    return folder


def points_of(folder: Path, rights: dict[str, int]) -> list[ScoredPoint]:
    return [
        ScoredPoint(
            run=run,
            settings={"training.lora_r": right},
            score=right / IMAGES,
            report=write_report(folder / run, right),
        )
        for run, right in rights.items()
    ]


def test_a_small_difference_is_a_tie_and_a_large_one_is_worse(tmp_path: Path) -> None:
    rows = rank(points_of(tmp_path, {"much-worse": 20, "best": 50, "nearly": 49}), "score").rows
    assert [(row.run, row.verdict) for row in rows] == [("best", "best"), ("nearly", "tie"), ("much-worse", "worse")]
    assert rows[2].against_best["LR"]["difference"] == pytest.approx(-0.5)
    assert rows[0].sources["LR"]["ci95"] == pytest.approx([50 / 60 - 0.1, 50 / 60 + 0.1])


def test_a_point_that_was_sampled_twice_has_one_row(tmp_path: Path) -> None:
    points = points_of(tmp_path, {"one": 30, "two": 20})
    assert [row.run for row in rank([*points, points[0]], "score").rows] == ["one", "two"]


def test_a_single_point_is_the_best(tmp_path: Path) -> None:
    assert rank(points_of(tmp_path, {"only": 30}), "score").rows[0].verdict == "best"


def test_every_objective_has_its_tasks() -> None:
    assert set(TASKS) == set(get_args(Objective))


def test_an_objective_without_scores_is_an_error(tmp_path: Path) -> None:
    report = write_report(tmp_path / "report", 30)
    assert score_of(report, "accuracy", None) == pytest.approx(0.5)
    with pytest.raises(UserError, match="nothing to score by CIDEr"):
        score_of(report, "CIDEr", None)


def test_the_page_escapes_text_and_has_a_line_for_each_point(tmp_path: Path) -> None:
    rows = rank(points_of(tmp_path, {"best": 50, "nearly": 49}), "score")
    page = render_sweep("<script>", rows, {"stopped early": 2}, {"training.lora_r": 1.0})
    assert "<script>" not in page and page.count("<polyline") == 2
    assert "2 stopped early" in page and draw_importance({"training.lora_r": 1.0}) in page


def test_the_verdict_comes_before_the_scores_by_source(tmp_path: Path) -> None:
    # four sources fill the width of a page
    page = render_sweep("name", rank(points_of(tmp_path, {"best": 50, "nearly": 49}), "score"), {}, {})
    assert page.index("<th>against the best") < page.index("accuracy</th>")


@pytest.mark.parametrize(
    ("values", "middle"), [([1e-4, 1e-3, 1e-2], 1e-3), ([1, 2, LINEAR_SPAN], LINEAR_SPAN**0.5), ([1, 2, 3], 2)]
)
def test_an_axis_over_a_large_range_is_logarithmic(values: list[float], middle: float) -> None:
    axis = Axis("learning_rate", values)
    low, high = (axis.y(value) for value in (axis.ticks[0], axis.ticks[-1]))
    assert axis.y(middle) == pytest.approx((low + high) / 2)


def write_two_sources(folder: Path, captions: list[float], right: list[float]) -> Path:
    """A report on captions of one source and questions of another, with intervals."""
    folder.mkdir(parents=True)
    rows = [
        {"task": task, "source": source, "image": f"{source}/{number}", "record": number, "turn": 0, column: value}
        for task, source, column, values in (("captioning", "UCM", "CIDEr", captions), ("vqa", "LR", "right", right))
        for number, value in enumerate(values)
    ]
    cider, accuracy = sum(captions) / len(captions), sum(right) / len(right)
    metrics = {
        "protocol": {"test_set": "one", "shuffling_seed": 28},
        "captioning": {"UCM": {"CIDEr": cider, "ci95": {"CIDEr": [cider - 0.5, cider + 1.0]}}},
        "vqa": {"LR": {"accuracy": accuracy, "ci95": {"accuracy": [accuracy - 0.04, accuracy + 0.02]}}},
    }
    write_json(folder / "metrics.json", metrics)
    write_json_lines(folder / "per_answer.jsonl", rows)
    write_manifest(folder, "a report")
    return folder


def two_source_reports(folder: Path, draws: np.random.Generator, count: int) -> list[Path]:
    base = draws.gamma(0.7, 2.5, 40)
    return [
        write_two_sources(
            folder / str(number),
            [float(each) for each in base * draws.gamma(4, 0.25, 40)],
            [float(each) for each in draws.random(30) < 0.6],
        )
        for number in range(count)
    ]


def test_the_objective_of_several_sources_is_in_standard_errors_of_the_first_point(tmp_path: Path) -> None:
    first = write_two_sources(tmp_path / "first", [1.0, 2.0], [0.0, 1.0])
    second = write_two_sources(tmp_path / "second", [1.5, 2.5], [1.0, 1.0])
    claim_reference(tmp_path, first, "score")
    claim_reference(tmp_path, second, "score")
    reference = read_reference(tmp_path)
    assert score_of(first, "score", reference) == 0
    # widths of the first point's intervals over 2 x 1.96
    expected = (0.5 / (1.5 / 3.92) + 0.5 / (0.06 / 3.92)) / 2**0.5
    assert score_of(second, "score", reference) == pytest.approx(expected, abs=1e-9)


def test_one_source_keeps_its_own_score(tmp_path: Path) -> None:
    claim_reference(tmp_path, write_report(tmp_path / "report", 30), "score")
    assert read_reference(tmp_path) is None


@pytest.mark.parametrize("count", [2, 9])
def test_nothing_on_the_leaderboard_contradicts_the_best(tmp_path: Path, count: int) -> None:
    reports = two_source_reports(tmp_path, np.random.default_rng(count), count)
    claim_reference(tmp_path, reports[0], "score")
    reference = read_reference(tmp_path)
    points = [
        ScoredPoint(run=report.name, settings={}, score=score_of(report, "score", reference), report=report)
        for report in reports
    ]
    board = rank(points, "score", reference)
    assert board.rows[0].verdict == "best" and {row.verdict for row in board.rows[1:]} <= {"tie", "worse"}
    # a larger gap never has a larger p-value
    p_values = [row.p_value for row in board.rows]
    assert p_values[0] == 1 and p_values == sorted(p_values, reverse=True)
    assert board.chosen.run == board.rows[0].run and board.chosen.corrected < board.chosen.score
    page = render_sweep("name", board, {}, {})
    assert f"chosen among {count} points" in page and "better" not in page


def test_the_page_says_that_an_old_sweep_has_the_mean_of_the_scores(tmp_path: Path) -> None:
    report = write_two_sources(tmp_path / "first", [1.0, 2.0], [0.0, 1.0])
    assert score_of(report, "score", None) == pytest.approx(1.0)
    point = ScoredPoint(run="a", settings={"training.lora_r": 8}, score=1.0, report=report)
    assert "started by an earlier version" in render_sweep("name", rank([point], "score"), {}, {})


def test_a_source_without_an_interval_is_left_out() -> None:
    scores: dict[str, HeadlineScore] = {
        "LR": {"metric": "accuracy", "value": 0.5, "ci95": [0.4, 0.6]},
        "DOTA": {"metric": "accuracy", "value": 1.0, "ci95": None},
    }
    reference = reference_of(scores)
    assert list(reference.sources) == ["LR"] and reference.unresolved == ("DOTA",)


@pytest.mark.parametrize(
    "damaged",
    ["{}", "[]", '{"sources": {}}', '{"sources": {"LR": {"metric": "accuracy", "value": 0.5, "error": 0}}}', "{"],
)
def test_a_damaged_reference_is_an_error_of_the_user(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "objective.json").write_text(damaged)
    with pytest.raises(UserError, match=r"objective\.json is"):
        read_reference(tmp_path)
