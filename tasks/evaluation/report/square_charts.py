"""Square charts of the report as inline SVG: counts against true values, calibration, one model against another."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

from tasks.evaluation.metrics.calibration import CalibrationBin
from tasks.evaluation.report.charts import TICKS

# layout, in pixels
SIDE, SIDE_LEFT, SIDE_BOTTOM, SIDE_TOP = 320, 44, 36, 10
MOST_DOTS = 800
# distance at which dots are one
GRID = 4
MARKS = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 100000, 1000000)


def draw_calibration(title: str, pairs: Iterable[tuple[float, float]]) -> str | None:
    """An SVG element with a dot for each (true count, answer), larger where there are more; None without any.

    Both axes are log(1 + count); right answers are on the diagonal. Of more than 800 different pairs the most frequent
    are drawn.
    """
    dots = Counter((truth, answer) for truth, answer in pairs if truth >= 0 and answer >= 0)
    if not dots:
        return None
    highest = max(max(pair) for pair in dots) or 1.0
    scale = (SIDE - SIDE_LEFT - SIDE_TOP) / math.log1p(highest)

    def along(value: float) -> float:
        return math.log1p(value) * scale

    x0, y0 = SIDE_LEFT, SIDE - SIDE_BOTTOM
    parts = [_marks(x0, y0, along(mark), _short(mark)) for mark in MARKS if mark <= highest]
    parts.append(f'<path class="dashed" d="M{x0} {y0}L{x0 + along(highest):.1f} {y0 - along(highest):.1f}"/>')
    most = max(dots.values())
    for (truth, answer), count in dots.most_common(MOST_DOTS):
        radius = 1.2 + 7 * math.sqrt(count / most)
        parts.append(
            f'<circle class="dot" cx="{x0 + along(truth):.1f}" cy="{y0 - along(answer):.1f}" r="{radius:.1f}"/>'
        )
    parts.append(f'<text class="value" x="{(x0 + SIDE) / 2:.0f}" y="{SIDE - 4}" text-anchor="middle">true count</text>')
    parts.append(f'<text class="value" x="{x0 + 6}" y="{SIDE_TOP + 4}">answer</text>')
    label = escape(f"{title}: {sum(dots.values())} counts, answers against true counts")
    return _square(label, parts)


def draw_reliability(title: str, bins: Sequence[CalibrationBin]) -> str:
    """An SVG element, a reliability diagram: accuracy over probability, a bar for each bin that has answers.

    Well calibrated answers reach the diagonal; the dot is a bin's mean probability, larger where there are more
    answers. Source of the diagram: Guo et al. 2017.
    """
    size = SIDE - SIDE_LEFT - SIDE_TOP
    x0, y0 = SIDE_LEFT, SIDE - SIDE_BOTTOM
    parts = [_marks(x0, y0, size * tick / TICKS, f"{tick / TICKS:g}") for tick in range(TICKS + 1)]
    most = max(each["answers"] for each in bins)
    for each in bins:
        left, width, height = (size * part for part in (each["low"], each["high"] - each["low"], each["accuracy"]))
        parts.append(
            f'<rect class="model" x="{x0 + left + 1:.1f}" y="{y0 - height:.1f}" width="{width - 2:.1f}" '
            f'height="{max(1, height):.1f}"/>'
        )
        radius = 1.2 + 4 * math.sqrt(each["answers"] / most)
        middle = x0 + size * each["probability"]
        parts.append(f'<circle class="dot" cx="{middle:.1f}" cy="{y0 - height:.1f}" r="{radius:.1f}"/>')
    parts.append(f'<path class="dashed" d="M{x0} {y0}L{x0 + size} {y0 - size}"/>')
    parts.append(
        f'<text class="value" x="{(x0 + SIDE) / 2:.0f}" y="{SIDE - 4}" text-anchor="middle">probability</text>'
    )
    parts.append(f'<text class="value" x="{x0 + 6}" y="{SIDE_TOP + 4}">accuracy</text>')
    values = "; ".join(f"{each['probability']:.2f} {each['accuracy']:.2f}" for each in bins)
    label = escape(f"{title}, probability and accuracy: {values}")
    return _square(label, parts)


def draw_pairs(title: str, pairs: Sequence[tuple[float, float]], most: float) -> str:
    """An SVG element with a dot for each (base model's score, this model's) of an image, from 0 to `most`.

    Dots above the diagonal are improved, below it worsened. Images at nearly the same place share a dot, larger where
    there are more; of more than 800 dots the largest are drawn.
    """
    size = SIDE - SIDE_LEFT - SIDE_TOP
    x0, y0 = SIDE_LEFT, SIDE - SIDE_BOTTOM
    parts = [_marks(x0, y0, size * tick / TICKS, f"{most * tick / TICKS:g}") for tick in range(TICKS + 1)]
    parts.append(f'<path class="dashed" d="M{x0} {y0}L{x0 + size} {y0 - size}"/>')

    def along(value: float) -> int:
        return round(size * value / most / GRID) * GRID

    places = Counter((change_of(base, own), along(base), along(own)) for base, own in pairs)
    highest = max(places.values())
    for (change, across, up), count in places.most_common(MOST_DOTS):
        radius = 2.2 + 6 * math.sqrt((count - 1) / highest)
        parts.append(f'<circle class="dot {change}" cx="{x0 + across}" cy="{y0 - up}" r="{radius:.1f}"/>')
    parts.append(
        f'<text class="value" x="{(x0 + SIDE) / 2:.0f}" y="{SIDE - 4}" text-anchor="middle">base model</text>'
        f'<text class="value" x="{x0 + 6}" y="{SIDE_TOP - 6}">this model</text>'
    )
    return _square(escape(f"{title}: {len(pairs)} images, this model against the base model"), parts)


def change_of(base: float, own: float) -> str:
    """better, worse or same; rounding errors are no change."""
    return "same" if math.isclose(own, base, rel_tol=1e-9, abs_tol=1e-12) else "better" if own > base else "worse"


def _square(label: str, parts: Iterable[str]) -> str:
    box = f"-4 -8 {SIDE + 12} {SIDE + 8}"
    return f'<svg class="square" viewBox="{box}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _short(number: int) -> str:
    return f"{number // 1000}k" if number >= 1000 else str(number)


def _marks(x0: float, y0: float, distance: float, name: str) -> str:
    return (
        f'<text class="value" x="{x0 + distance:.1f}" y="{y0 + 16}" text-anchor="middle">{name}</text>'
        f'<text class="value" x="{x0 - 8}" y="{y0 - distance + 4:.1f}" text-anchor="end">{name}</text>'
    )
