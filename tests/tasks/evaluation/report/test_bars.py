"""Bars as SVG."""

from xml.etree import ElementTree

from tasks.evaluation.report.bars import LABEL, VALUE, WIDTH, Bar, draw_bars


def test_bars_are_well_formed_and_stay_inside() -> None:
    drawn = draw_bars("a < b", [Bar("this & that", "model", 0.5, [0.4, 0.7]), Bar("none", "base", 0.0)])
    picture = ElementTree.fromstring(drawn)
    widths = [float(bar.attrib["width"]) for bar in picture.iter("rect")]
    assert len(widths) == 2
    assert max(widths) <= WIDTH - LABEL - VALUE


def test_all_scores_of_zero_are_drawn() -> None:
    assert "0.000" in draw_bars("nothing", [Bar("x", "model", 0.0, [0.0, 0.0])])
