"""The leaderboard: ranks, verdicts and objectives."""

from pathlib import Path
from typing import get_args

import pytest

from tasks.errors import UserError
from tasks.files import write_json, write_json_lines
from tasks.manifests import write_manifest
from tasks.sweeping.config import Objective
from tasks.sweeping.leaderboard import TASKS, ScoredPoint, overall_verdict, rank, score_of
from tasks.sweeping.pages import Axis, draw_importance, render_sweep

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
    rows = rank(points_of(tmp_path, {"much-worse": 20, "best": 50, "nearly": 49}), "score")
    assert [(row.run, row.verdict) for row in rows] == [("best", "best"), ("nearly", "tie"), ("much-worse", "worse")]
    assert rows[2].against_best["LR"]["difference"] == pytest.approx(-0.5)
    assert rows[0].sources["LR"]["ci95"] == pytest.approx([50 / 60 - 0.1, 50 / 60 + 0.1])


def test_a_point_that_was_sampled_twice_has_one_row(tmp_path: Path) -> None:
    points = points_of(tmp_path, {"one": 30, "two": 20})
    assert [row.run for row in rank([*points, points[0]], "score")] == ["one", "two"]


def test_a_single_point_is_the_best(tmp_path: Path) -> None:
    assert rank(points_of(tmp_path, {"only": 30}), "score")[0].verdict == "best"


def test_every_objective_has_its_tasks() -> None:
    assert set(TASKS) == set(get_args(Objective))


def test_an_objective_without_scores_is_an_error(tmp_path: Path) -> None:
    report = write_report(tmp_path / "report", 30)
    assert score_of(report, "accuracy") == 0.5
    with pytest.raises(UserError, match="nothing to score by CIDEr"):
        score_of(report, "CIDEr")


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["tie", "tie"], "tie"),
        (["tie", "worse"], "worse"),
        (["better", "worse"], "mixed"),
        (["better", "tie"], "better"),
    ],
)
def test_the_verdicts_of_the_sources_make_one(verdicts: list[str], expected: str) -> None:
    assert overall_verdict(verdicts) == expected


def test_the_page_escapes_text_and_has_a_line_for_each_point(tmp_path: Path) -> None:
    rows = rank(points_of(tmp_path, {"best": 50, "nearly": 49}), "score")
    page = render_sweep("<script>", rows, {"stopped early": 2}, {"training.lora_r": 1.0})
    assert "<script>" not in page and page.count("<polyline") == 2
    assert "2 stopped early" in page and draw_importance({"training.lora_r": 1.0}) in page


def test_the_verdict_comes_before_the_scores_by_source(tmp_path: Path) -> None:
    # four sources fill the width of a page
    page = render_sweep("name", rank(points_of(tmp_path, {"best": 50, "nearly": 49}), "score"), {}, {})
    assert page.index("<th>against the best") < page.index("accuracy</th>")


def test_an_axis_over_a_large_range_is_logarithmic() -> None:
    wide, narrow = Axis("learning_rate", [1e-4, 1e-3, 1e-2]), Axis("score", [1, 2, 3])
    for axis, middle in ((wide, 1e-3), (narrow, 2)):
        low, high = (axis.y(value) for value in (axis.ticks[0], axis.ticks[-1]))
        assert axis.y(middle) == pytest.approx((low + high) / 2)
