"""Charts of the report as inline SVG: bars, curves over checkpoints, changes.

They need no plotting library and no network, and have the colours of the page.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 560
# layout of bar charts, in pixels
ROW, DETAILED_ROW, LABEL, VALUE = 26, 32, 170, 56
BARS_BOX = re.compile(rf'viewBox="0 0 {WIDTH} (\d+)"')
# layout of curves, in pixels
HEIGHT = 210
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 12, 34
TICKS = 4


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
    line = middle - 2 if bar.detail else middle + 4
    parts = [
        f'<text x="{LABEL - 8}" y="{line}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect class="{bar.kind}" x="{LABEL}" y="{middle + 5 - ROW / 2}" width="{max(1, bar.value * scale):.1f}" '
        f'height="{ROW - 10}" rx="3"/>',
    ]
    if bar.detail:
        parts.append(
            f'<text class="detail" x="{LABEL - 8}" y="{middle + 11}" text-anchor="end">{escape(bar.detail)}</text>'
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

    parts = [draw_tick(y(highest * tick / TICKS), highest * tick / TICKS) for tick in range(TICKS + 1)]
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


def draw_tick(y: float, value: float) -> str:
    """A horizontal line and its value, in the layout of curves."""
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


def signed(value: float) -> str:
    """A difference to three digits, with a minus sign that is not a hyphen."""
    return f"{value:+.3f}".replace("-", "−")


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
        parts.append(f'<text class="value" x="{WIDTH - VALUE + 7}" y="{middle + 4}">{signed(each.value)}</text>')
    values = "; ".join(f"{each.label} {each.value:+.3f}" for each in changes)
    label = escape(f"{title}: {values}")
    return f'<svg class="bars" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
