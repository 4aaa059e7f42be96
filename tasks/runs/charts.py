"""The curves of several runs in one chart, as inline SVG in the colours of the page."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from tasks.axes import axis_end
from tasks.evaluation.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TICKS, TOP, WIDTH, draw_tick
from tasks.training.loss_curve import Point

# more lines in one chart cannot be told apart; the style sheet has a colour for each
MOST_LINES = 8
# points of a line; more are not visible
MOST_POINTS = 400
SPARK_WIDTH, SPARK_HEIGHT = 96, 28


class Ends(NamedTuple):
    """Where the axes of a chart end: steps across, loss upwards."""

    steps: int
    loss: float


def axis_ends(lines: Iterable[Sequence[Point]]) -> Ends:
    """The ends of axes from 0 on that hold all points and have round marks."""
    points = [point for each in lines for point in each]
    steps, loss = (max(values, default=1) or 1 for values in ([step for step, _ in points], [y for _, y in points]))
    return Ends(int(axis_end(steps, TICKS, whole=True)), axis_end(loss, TICKS))


def draw_lines(title: str, lines: Mapping[str, Sequence[Point]], ends: Ends | None = None) -> str:
    """An SVG element with the loss of each run over its steps, both axes from 0 on, in the order of the colours.

    Charts with the same `ends` can be compared by eye; by default the axes end with the lines.
    """
    steps, most = ends or axis_ends(lines.values())
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    parts = [_axis(tick / TICKS, most, steps) for tick in range(TICKS + 1)]
    for number, points in enumerate(lines.values()):
        line = " ".join(
            f"{LEFT + across * step / steps:.1f},{HEIGHT - BOTTOM - down * loss / most:.1f}"
            for step, loss in thinned(points)
        )
        parts.append(f'<polyline class="line c{number}" points="{line}"/>')
        if len(points) == 1:
            x, y = line.split(",")
            parts.append(f'<circle class="dot c{number}" cx="{x}" cy="{y}" r="3"/>')
    last = "; ".join(f"{name} {points[-1][1]:.3f}" for name, points in lines.items() if points)
    label = escape(f"{title}; last values: {last}")
    return f'<svg class="bars" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _axis(share: float, most: float, steps: int) -> str:
    y, x = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, LEFT + (WIDTH - LEFT - RIGHT) * share
    return (
        f"{draw_tick(y, most * share)}"
        f'<text class="value" x="{x:.1f}" y="{HEIGHT - 12}" text-anchor="middle">{round(steps * share)}</text>'
    )


def draw_spark(points: Sequence[Point]) -> str:
    """A small SVG element with the shape of a loss curve, for a row of a table."""
    steps, most = points[-1][0] or 1, max(loss for _, loss in points) or 1.0
    line = " ".join(
        f"{2 + (SPARK_WIDTH - 4) * step / steps:.1f},{SPARK_HEIGHT - 3 - (SPARK_HEIGHT - 6) * loss / most:.1f}"
        for step, loss in thinned(points, SPARK_WIDTH)
    )
    label = f"loss from {points[0][1]:.2f} to {points[-1][1]:.2f} in {points[-1][0]} steps"
    return (
        f'<svg class="curve-small" viewBox="0 0 {SPARK_WIDTH} {SPARK_HEIGHT}" role="img" aria-label="{label}">'
        f'<polyline class="line c0" points="{line}"/></svg>'
    )


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> Sequence[Point]:
    """At most `most` of the points at equal distances, and the last one."""
    step = -(-len(points) // most) or 1
    kept = [*points[::step]]
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]
