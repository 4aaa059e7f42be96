"""A sweep in pictures, as inline SVG: parallel coordinates of its points, and what mattered."""

from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from typing import Any

from tasks.sweeping.leaderboard import BEST, TIE, Row
from tasks.sweeping.search_space import shown

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 320, 70, 70, 40, 30
BAR, LABEL = 26, 240
SCORE = "score"
# numbers that span more are drawn by their logarithm, so that learning rates and ranks do not crowd at the bottom
WIDE = 5


class Axis:
    """One setting's axis: numbers by size, or by their logarithm where they span much; anything else in order."""

    def __init__(self, name: str, values: Sequence[Any]) -> None:
        self.name = name
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        self._log = numbers and min(values) > 0 and max(values) / min(values) >= WIDE
        self._order = None if numbers else list(dict.fromkeys(map(str, values)))
        known = sorted(set(values)) if numbers else self._order or []
        self.ticks = known if len(known) <= 6 else [known[0], known[len(known) // 2], known[-1]]
        self._low, self._high = (self._place(known[0]), self._place(known[-1])) if known else (0.0, 0.0)

    def _place(self, value: Any) -> float:
        if self._order is not None:
            return float(self._order.index(str(value)))
        return log10(value) if self._log else float(value)

    def y(self, value: Any) -> float:
        """Where a value stands, in pixels from the top."""
        span = self._high - self._low
        share = (self._place(value) - self._low) / span if span else 0.5
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def draw_parallel(rows: Sequence[Row]) -> str:
    """An SVG element: an axis for each searched setting and one for the score, a line for each point."""
    names = list(rows[0].settings)
    axes = [Axis(name, [row.settings[name] for row in rows]) for name in names]
    axes.append(Axis(SCORE, [row.score for row in rows]))
    step = (WIDTH - LEFT - RIGHT) / max(len(axes) - 1, 1)
    places = [LEFT + step * number for number in range(len(axes))]
    lines = [_line(row, axes, places) for row in reversed(rows)]
    drawn = [_axis(axis, x) for axis, x in zip(axes, places, strict=True)]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="settings and score of {len(rows)} points">'
        f"{''.join(lines)}{''.join(drawn)}</svg>"
    )


def _line(row: Row, axes: Sequence[Axis], places: Sequence[float]) -> str:
    values = [*row.settings.values(), row.score]
    points = " ".join(f"{x:.1f},{axis.y(value):.1f}" for x, axis, value in zip(places, axes, values, strict=True))
    kind = row.verdict if row.verdict in (BEST, TIE) else "other"
    return f'<polyline class="{kind}" points="{points}"><title>{escape(row.run)}</title></polyline>'


def _axis(axis: Axis, x: float) -> str:
    ticks = "".join(
        f'<text class="value" x="{x + 6:.1f}" y="{axis.y(tick) + 4:.1f}">{escape(shown(tick))}</text>'
        for tick in axis.ticks
    )
    name = escape(axis.name.split(".")[-1])
    return (
        f'<path class="rule" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
        f'<text x="{x:.1f}" y="{TOP - 16}" text-anchor="middle">{name}</text>{ticks}'
    )


def draw_importance(importance: Mapping[str, float]) -> str:
    """An SVG element: a bar for each setting, its share of the importance."""
    scale = WIDTH - LABEL - 80
    rows = "".join(
        f'<text x="{LABEL - 8}" y="{place * BAR + 17}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{LABEL}" y="{place * BAR + 5}" width="{max(1, share * scale):.1f}" height="{BAR - 10}" rx="3"/>'
        f'<text class="value" x="{LABEL + share * scale + 7:.1f}" y="{place * BAR + 17}">{share:.2f}</text>'
        for place, (name, share) in enumerate(importance.items())
    )
    return f'<svg viewBox="0 0 {WIDTH} {BAR * len(importance)}" role="img" aria-label="importance">{rows}</svg>'
