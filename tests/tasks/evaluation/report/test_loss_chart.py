"""The loss curve as SVG."""

from xml.etree import ElementTree

from tasks.evaluation.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from tasks.evaluation.report.loss_chart import draw_losses

TRAINING = [(10, 4.0), (20, 2.0), (40, 0.5)]


def points_of(line: ElementTree.Element) -> list[tuple[float, float]]:
    """The points of a line, x and y in pixels."""
    pairs = [place.split(",") for place in line.attrib["points"].split()]
    return [(float(x), float(y)) for x, y in pairs]


def test_the_curve_falls_with_the_loss_and_its_axes_start_at_0() -> None:
    [line] = ElementTree.fromstring(draw_losses(TRAINING)).findall("polyline")
    places = points_of(line)
    assert places[0] == (LEFT + (WIDTH - LEFT - RIGHT) / 4, TOP) and places[-1][0] == WIDTH - RIGHT
    # the distance between points follows their steps, and their height the loss
    assert (places[2][0] - places[1][0]) / (places[1][0] - places[0][0]) == 2
    assert (HEIGHT - BOTTOM - places[1][1]) / (HEIGHT - BOTTOM - places[0][1]) == 0.5


def test_the_validation_loss_has_dots_on_the_same_axes() -> None:
    root = ElementTree.fromstring(draw_losses(TRAINING, [(20, 4.0), (40, 8.0)]))
    trained, validated = (points_of(line) for line in root.findall("polyline"))
    assert validated[0][0] == trained[1][0]
    assert validated[1] == (WIDTH - RIGHT, TOP)
    assert [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in root.findall("circle")] == validated


def test_the_picture_says_its_ends_in_words() -> None:
    root = ElementTree.fromstring(draw_losses(TRAINING, [(40, 0.7)]))
    assert root.attrib["aria-label"] == (
        "training loss from 4.00 to 0.50 at step 40; validation loss from 0.70 to 0.70 at step 40"
    )


def test_a_loss_of_0_at_step_0_can_be_drawn() -> None:
    assert ElementTree.fromstring(draw_losses([(0, 0.0)]))
