"""Square charts as SVG."""

from xml.etree import ElementTree

import pytest

from tasks.evaluation.metrics.calibration import CalibrationBin
from tasks.evaluation.report.square_charts import SIDE, change_of, draw_calibration, draw_pairs, draw_reliability


def test_equal_counts_share_one_dot() -> None:
    root = ElementTree.fromstring(draw_calibration("LR", [(3, 3), (3, 3), (0, 900)]) or "")
    assert len(root.findall("circle")) == 2
    assert draw_calibration("LR", []) is None
    assert draw_calibration("LR", [(0, 0)]) is not None


def test_a_reliability_diagram_has_a_bar_and_a_dot_for_each_bin_inside_its_frame() -> None:
    bins: list[CalibrationBin] = [
        {"low": low / 15, "high": (low + 1) / 15, "answers": 3 + low, "probability": (low + 0.5) / 15, "accuracy": rate}
        for low, rate in ((0, 0.0), (7, 0.5), (14, 1.0))
    ]
    root = ElementTree.fromstring(draw_reliability("LR & co", bins))
    bars, dots = root.findall("rect"), root.findall("circle")
    assert len(bars) == len(dots) == 3
    assert root.find("path[@class='dashed']") is not None
    tops = [float(bar.attrib["y"]) for bar in bars]
    assert tops == sorted(tops, reverse=True) == [float(dot.attrib["cy"]) for dot in dots]
    for bar, dot in zip(bars, dots, strict=True):
        left, width = float(bar.attrib["x"]), float(bar.attrib["width"])
        assert left < float(dot.attrib["cx"]) < left + width <= SIDE


def test_improved_images_are_above_the_diagonal_and_equal_places_share_a_dot() -> None:
    pairs = [(0.0, 1.0), (0.0, 1.0), (0.5, 0.5), (1.0, 0.25)]
    root = ElementTree.fromstring(draw_pairs("LR & co", pairs, 1.0))
    dots = {dot.attrib["class"].split()[1]: dot for dot in root.findall("circle")}
    assert len(root.findall("circle")) == 3
    assert float(dots["better"].attrib["r"]) > float(dots["worse"].attrib["r"])
    # on the diagonal, the way up is the way across
    corner_x, corner_y = float(dots["better"].attrib["cx"]), float(dots["better"].attrib["cy"]) + SIDE - 54
    across, up = (
        abs(float(dots["same"].attrib[axis]) - corner) for axis, corner in (("cx", corner_x), ("cy", corner_y))
    )
    assert across == pytest.approx(up, abs=4)
    assert "LR &amp; co: 4 images" in draw_pairs("LR & co", pairs, 1.0)


def test_a_change_is_better_worse_or_none() -> None:
    assert [change_of(*pair) for pair in ((0, 1), (1, 0), (0.5, 0.5))] == ["better", "worse", "same"]
