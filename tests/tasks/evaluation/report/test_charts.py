"""Charts as SVG."""

from xml.etree import ElementTree

from tasks.evaluation.report.charts import (
    DETAILED_ROW,
    LABEL,
    ROW,
    VALUE,
    WIDTH,
    Bar,
    Change,
    CurvePoint,
    bars_height,
    draw_bars,
    draw_changes,
    draw_curve,
)


def test_bars_are_well_formed_and_fit_the_chart() -> None:
    drawn = draw_bars("a < b", [Bar("this & that", "model", 0.5, [0.4, 0.7]), Bar("none", "base", 0.0)])
    picture = ElementTree.fromstring(drawn)
    widths = [float(bar.attrib["width"]) for bar in picture.iter("rect")]
    assert len(widths) == 2
    assert max(widths) <= WIDTH - LABEL - VALUE


def test_bars_of_zero_are_drawn() -> None:
    assert "0.000" in draw_bars("nothing", [Bar("x", "model", 0.0, [0.0, 0.0])])


def test_rows_are_higher_where_labels_have_a_second_line() -> None:
    plain = draw_bars("x", [Bar("a", "model", 1.0), Bar("b", "human", 0.5)])
    detailed = draw_bars("x", [Bar("a", "model", 1.0), Bar("b", "human", 0.5, detail="distinct & few")])
    assert (bars_height(plain), bars_height(detailed)) == (2 * ROW, 2 * DETAILED_ROW)
    assert [text.text for text in ElementTree.fromstring(detailed).findall("text[@class='detail']")] == [
        "distinct & few"
    ]
    assert "b (distinct &amp; few) 0.500" in detailed and 'class="detail"' not in plain


def test_a_curve_has_a_point_for_each_checkpoint_and_the_baseline() -> None:
    points = [CurvePoint("base", 0.1, [0.0, 0.2]), CurvePoint("<100>", 0.5, None), CurvePoint("final", 0.7, [0.6, 0.8])]
    root = ElementTree.fromstring(draw_curve("LR & co", points, blind=0.4))
    assert len(root.findall("circle")) == 3
    assert root.find("path[@class='dashed']") is not None
    heights = [float(circle.get("cy", 0)) for circle in root.findall("circle")]
    assert heights == sorted(heights, reverse=True)


def test_curves_of_zero_are_drawn() -> None:
    assert "circle" in draw_curve("LR", [CurvePoint("base", 0.0, None)], None)


def test_changes_are_on_their_side_of_zero_and_inside_the_chart() -> None:
    changes = [Change("rot90", -0.4, [-0.5, -0.3]), Change("jpeg & co", 0.0, None), Change("flip", 0.1, [-0.1, 0.3])]
    root = ElementTree.fromstring(draw_changes("LR", changes))
    zero = LABEL + (WIDTH - LABEL - VALUE) / 2
    places = [float(dot.attrib["cx"]) for dot in root.findall("circle")]
    assert LABEL <= places[0] < places[1] == zero < places[2] <= WIDTH - VALUE
    assert len(root.findall("path[@class='interval']")) == 2
    assert draw_changes("none", [Change("rot90", 0.0, None)])
