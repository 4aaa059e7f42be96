"""The loss curve draws every point at its step and value, and is always valid SVG."""

import math
import re
from typing import Any
from xml.etree import ElementTree

from tasks.training.loss_curve import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, draw_losses

SVG = "{http://www.w3.org/2000/svg}"
HISTORY: list[dict[str, Any]] = [
    {"step": 10, "loss": 4.0},
    {"step": 20, "loss": 2.0},
    {"step": 20, "eval_loss": 3.0},
    {"step": 40, "loss": 1.0},
    {"step": 40, "train_runtime": 9.0},
]


def lines(picture: str) -> list[list[tuple[float, float]]]:
    found = ElementTree.fromstring(picture).iter(f"{SVG}polyline")
    return [[tuple(map(float, pair.split(","))) for pair in line.get("points").split()] for line in found]


def test_each_loss_is_drawn_at_its_step() -> None:
    trained, validated = lines(draw_losses("run", HISTORY))
    bottom, top, right = HEIGHT - BOTTOM, TOP, WIDTH - RIGHT
    assert trained[0] == (LEFT + (right - LEFT) / 4, top)
    assert trained[1] == (LEFT + (right - LEFT) / 2, (top + bottom) / 2)
    assert trained[2] == (right, bottom - (bottom - top) / 4)
    assert validated == [(trained[1][0], bottom - (bottom - top) * 3 / 4)]


def test_non_finite_loss_is_not_drawn() -> None:
    history = [*HISTORY, {"step": 50, "loss": math.nan}, {"step": 60, "loss": math.inf}]
    assert lines(draw_losses("run", history)) == lines(draw_losses("run", HISTORY))


def test_zero_or_one_point_still_gives_an_image() -> None:
    one = draw_losses("run", [{"step": 1, "loss": 2.0}])
    assert len(list(ElementTree.fromstring(one).iter(f"{SVG}circle"))) == 1
    assert lines(draw_losses("run", [])) == [[]]


def test_title_is_escaped() -> None:
    text = "".join(ElementTree.fromstring(draw_losses("a<b & c", HISTORY)).itertext())
    assert re.search(r"a<b & c: loss, training\s+validation", text)
