"""Curves, calibration and summary as SVG."""

from typing import Any
from xml.etree import ElementTree

from tasks.evaluation.report.calibration import draw_calibration
from tasks.evaluation.report.curves import Point, draw_curve
from tasks.evaluation.report.summary import draw_summary, summary_markdown, summary_rows

METRICS: dict[str, Any] = {
    "protocol": {"fingerprint": "ab" * 32, "test_set": {"records": 10}},
    "captioning": {},
    "vqa": {
        "LR": {
            "images": 10,
            "accuracy": 0.75,
            "ci95": {"accuracy": [0.6, 0.9]},
            "controls": {"majority": 0.5, "question_only": 0.55, "shuffled_images": None},
        }
    },
}


def test_a_curve_has_a_point_for_each_checkpoint_and_the_blind_line() -> None:
    points = [Point("base", 0.1, [0.0, 0.2]), Point("<100>", 0.5, None), Point("final", 0.7, [0.6, 0.8])]
    root = ElementTree.fromstring(draw_curve("LR & co", points, blind=0.4))
    assert len(root.findall("circle")) == 3
    assert root.find("path[@class='dashed']") is not None
    heights = [float(circle.get("cy", 0)) for circle in root.findall("circle")]
    assert heights == sorted(heights, reverse=True)


def test_scores_of_zero_are_drawn() -> None:
    assert "circle" in draw_curve("LR", [Point("base", 0.0, None)], None)


def test_equal_counts_are_one_dot_on_the_line() -> None:
    root = ElementTree.fromstring(draw_calibration("LR", [(3, 3), (3, 3), (0, 900)]) or "")
    assert len(root.findall("circle")) == 2
    assert draw_calibration("LR", []) is None
    assert draw_calibration("LR", [(0, 0)]) is not None


def test_the_summary_says_the_gain_first() -> None:
    [row] = summary_rows(METRICS)
    assert (row["source"], row["gain"], row["gain is shown"]) == ("LR", 0.2, "yes")
    assert summary_markdown("final of x", METRICS).split("\n")[2] == "**Gain over no image: shown on 1 of 1 sources.**"
    assert ElementTree.fromstring(draw_summary("final", METRICS)).tag.endswith("svg")
