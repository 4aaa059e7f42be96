"""Charts of the report as inline SVG: bars, curves over checkpoints and counts against their true values.

They need no plotting library and no network, and have the colours of the page.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from tasks.evaluation.metrics.calibration import CalibrationBin

WIDTH = 560
# layout of bar charts, in pixels
ROW, DETAILED_ROW, LABEL, VALUE = 26, 32, 170, 56
BARS_BOX = re.compile(rf'viewBox="0 0 {WIDTH} (\d+)"')
# layout of curves, in pixels
HEIGHT = 210
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 12, 34
TICKS = 4
# layout of plots of counts, in pixels
SIDE, SIDE_LEFT, SIDE_BOTTOM, SIDE_TOP = 320, 44, 36, 10
MOST_DOTS = 800
MARKS = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 100000, 1000000)


@dataclass(frozen=True)
class Bar:
    """One bar: `kind` is its class in the style sheet (model, base, blind or human), which has its colour.

    `detail` is written in small type under the label.
    """

    label: str
    kind: str
    value: float
    interval: Sequence[float] | None = None
    detail: str = ""

    @property
    def name(self) -> str:
        """Label and detail in one line."""
        return f"{self.label} ({self.detail})" if self.detail else self.label


def draw_bars(title: str, bars: Sequence[Bar], most: float | None = None) -> str:
    """An SVG element with one bar per row, from 0 to `most` (default: the largest value or end of an interval)."""
    ends = [max(bar.value, *(bar.interval or ())) if bar.interval else bar.value for bar in bars]
    scale = (WIDTH - LABEL - VALUE) / (most or max([*ends, 0]) or 1)
    values = "; ".join(f"{bar.name} {bar.value:.3f}" for bar in bars)
    height = DETAILED_ROW if any(bar.detail for bar in bars) else ROW
    rows = "".join(_draw_row(height * (number + 0.5), bar, scale) for number, bar in enumerate(bars))
    return (
        f'<svg class="bars" viewBox="0 0 {WIDTH} {height * len(bars)}" role="img" '
        f'aria-label="{escape(title)}: {escape(values)}">{rows}</svg>'
    )


def bars_height(drawn: str) -> int:
    """The height of bars that `draw_bars` has drawn, which are `WIDTH` wide."""
    found = BARS_BOX.search(drawn)
    assert found
    return int(found[1])


def _draw_row(middle: float, bar: Bar, scale: float) -> str:
    line = middle - 1 if bar.detail else middle + 4
    parts = [
        f'<text x="{LABEL - 8}" y="{line}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect class="{bar.kind}" x="{LABEL}" y="{middle + 5 - ROW / 2}" width="{max(1, bar.value * scale):.1f}" '
        f'height="{ROW - 10}" rx="3"/>',
    ]
    if bar.detail:
        parts.append(
            f'<text class="detail" x="{LABEL - 8}" y="{middle + 10}" text-anchor="end">{escape(bar.detail)}</text>'
        )
    end = bar.value
    if bar.interval:
        low, high = (LABEL + bound * scale for bound in bar.interval)
        end = max(end, bar.interval[1])
        caps = "".join(f"M{x:.1f} {middle - 5}v10" for x in (low, high))
        parts.append(f'<path class="interval" d="M{low:.1f} {middle}H{high:.1f}{caps}"/>')
    parts.append(f'<text class="value" x="{LABEL + end * scale + 7:.1f}" y="{middle + 4}">{bar.value:.3f}</text>')
    return "".join(parts)


@dataclass(frozen=True)
class CurvePoint:
    """The score of one checkpoint or evaluation."""

    label: str
    value: float
    interval: Sequence[float] | None


def draw_curve(title: str, points: Sequence[CurvePoint], blind: float | None) -> str:
    """An SVG element: the points joined in their order, and the best image-blind baseline as a dashed line."""
    highest = max([*(max([point.value, *(point.interval or ())]) for point in points), blind or 0.0]) or 1.0
    step = (WIDTH - LEFT - RIGHT) / len(points)

    def x(number: float) -> float:
        return LEFT + step * (number + 0.5)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / highest

    parts = [_tick(y(highest * tick / TICKS), highest * tick / TICKS) for tick in range(TICKS + 1)]
    if blind is not None:
        parts.append(f'<path class="dashed" d="M{LEFT} {y(blind):.1f}H{WIDTH - RIGHT}"/>')
    parts.append(_band([(x(number), point) for number, point in enumerate(points)], y))
    line = " ".join(f"{x(number):.1f},{y(point.value):.1f}" for number, point in enumerate(points))
    parts.append(f'<polyline class="curve" points="{line}"/>')
    for number, point in enumerate(points):
        parts.append(f'<circle class="model" cx="{x(number):.1f}" cy="{y(point.value):.1f}" r="3.5"/>')
        parts.append(f'<text x="{x(number):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{escape(point.label)}</text>')
    values = "; ".join(f"{point.label} {point.value:.3f}" for point in points)
    label = escape(f"{title}: {values}")
    return f'<svg class="bars" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _tick(y: float, value: float) -> str:
    return (
        f'<path class="rule" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        f'<text class="value" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>'
    )


def _band(points: Sequence[tuple[float, CurvePoint]], y: Callable[[float], float]) -> str:
    known = [(x, point.interval) for x, point in points if point.interval]
    if not known:
        return ""
    edge = [f"{x:.1f},{y(bounds[1]):.1f}" for x, bounds in known]
    edge += [f"{x:.1f},{y(bounds[0]):.1f}" for x, bounds in reversed(known)]
    return f'<polygon class="band" points="{" ".join(edge)}"/>'


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


@dataclass(frozen=True)
class Change:
    """A difference between two scores, and its interval."""

    label: str
    value: float
    interval: Sequence[float] | None


def draw_changes(title: str, changes: Sequence[Change]) -> str:
    """An SVG element with a dot and an interval per row, around a line at 0."""
    most = max(abs(end) for each in changes for end in (each.value, *(each.interval or ()))) or 1.0
    half = (WIDTH - LABEL - VALUE) / 2 - 6
    zero, height = LABEL + half + 6, ROW * len(changes)
    parts = [f'<path class="dashed" d="M{zero} 0V{height}"/>']
    for number, each in enumerate(changes):
        middle = ROW * (number + 0.5)
        parts.append(f'<text x="{LABEL - 8}" y="{middle + 4}" text-anchor="end">{escape(each.label)}</text>')
        if each.interval:
            low, high = (zero + half * end / most for end in each.interval)
            parts.append(f'<path class="interval" d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 5}v10'
                         f'M{high:.1f} {middle - 5}v10"/>')  # fmt: skip
        x = zero + half * each.value / most
        parts.append(f'<circle class="model" cx="{x:.1f}" cy="{middle}" r="4"/>')
        parts.append(f'<text class="value" x="{WIDTH - VALUE + 7}" y="{middle + 4}">{each.value:+.3f}</text>')
    values = "; ".join(f"{each.label} {each.value:+.3f}" for each in changes)
    label = escape(f"{title}: {values}")
    return f'<svg class="bars" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


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
