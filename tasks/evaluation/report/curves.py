"""Curves over a run's checkpoints as inline SVG, with their intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 12, 34
TICKS = 4


@dataclass(frozen=True)
class Point:
    """One checkpoint's score."""

    label: str
    value: float
    interval: Sequence[float] | None


def draw_curve(title: str, points: Sequence[Point], blind: float | None) -> str:
    """An SVG element: the points in their order, joined, and the best score without an image as a dashed line."""
    highest = max([*(max([point.value, *(point.interval or ())]) for point in points), blind or 0.0]) or 1.0
    step = (WIDTH - LEFT - RIGHT) / len(points)

    def x(place: float) -> float:
        return LEFT + step * (place + 0.5)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / highest

    parts = [_tick(y(highest * tick / TICKS), highest * tick / TICKS) for tick in range(TICKS + 1)]
    if blind is not None:
        parts.append(f'<path class="dashed" d="M{LEFT} {y(blind):.1f}H{WIDTH - RIGHT}"/>')
    parts.append(_band([(x(place), point) for place, point in enumerate(points)], y))
    line = " ".join(f"{x(place):.1f},{y(point.value):.1f}" for place, point in enumerate(points))
    parts.append(f'<polyline class="course" points="{line}"/>')
    for place, point in enumerate(points):
        parts.append(f'<circle class="model" cx="{x(place):.1f}" cy="{y(point.value):.1f}" r="3.5"/>')
        parts.append(f'<text x="{x(place):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{escape(point.label)}</text>')
    said = "; ".join(f"{point.label} {point.value:.3f}" for point in points)
    label = escape(f"{title}: {said}")
    return f'<svg class="bars" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _tick(y: float, value: float) -> str:
    return (
        f'<path class="rule" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        f'<text class="value" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>'
    )


def _band(places: Sequence[tuple[float, Point]], y: Callable[[float], float]) -> str:
    known = [(x, point.interval) for x, point in places if point.interval]
    if not known:
        return ""
    edge = [f"{x:.1f},{y(bounds[1]):.1f}" for x, bounds in known]
    edge += [f"{x:.1f},{y(bounds[0]):.1f}" for x, bounds in reversed(known)]
    return f'<polygon class="band" points="{" ".join(edge)}"/>'
