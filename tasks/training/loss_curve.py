"""The loss curve as an SVG image, drawn without a plotting library."""

import math
from collections.abc import Iterable, Mapping, Sequence

from tasks.axes import axis_end

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 360, 64, 40, 16, 40
TRAINED, VALIDATED = "#1f6fb2", "#c2571a"
TICKS = 5
Point = tuple[int, float]


def loss_points(history: Iterable[Mapping[str, float]], name: str) -> list[Point]:
    """Step and value of each entry in trainer_state.json's log_history that has a finite value for `name`."""
    return [
        (int(entry["step"]), float(entry[name]))
        for entry in history
        if name in entry and math.isfinite(float(entry[name]))
    ]


def draw_losses(title: str, history: Sequence[Mapping[str, float]]) -> str:
    """An SVG image of the training loss and, if there is one, the validation loss."""
    trained, validated = loss_points(history, "loss"), loss_points(history, "eval_loss")
    scale = Scale([*trained, *validated])
    parts = [*_axes(scale), _line(trained, scale, TRAINED)]
    if len(trained) == 1:
        parts.append(_dots(trained, scale, TRAINED))
    if validated:
        parts += [_line(validated, scale, VALIDATED), _dots(validated, scale, VALIDATED)]
    legend = f'<tspan fill="{TRAINED}">training</tspan>'
    if validated:
        legend += f' <tspan dx="12" fill="{VALIDATED}">validation</tspan>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="12"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
        f'<text x="{LEFT}" y="24" font-size="14">{_escaped(title)}: loss, <tspan>{legend}</tspan></text>'
        f"{''.join(parts)}</svg>\n"
    )


class Scale:
    """Coordinates of a step and a loss in the image, in pixels; the loss axis starts at 0."""

    def __init__(self, points: Sequence[Point]):
        self.steps = axis_end(max((step for step, _ in points), default=1) or 1, TICKS, whole=True)
        self.most = axis_end(max((loss for _, loss in points), default=1.0) or 1.0, TICKS)

    def x(self, step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / self.steps

    def y(self, loss: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * loss / self.most


def _axes(scale: Scale) -> list[str]:
    parts = []
    for number in range(TICKS + 1):
        loss, step = scale.most * number / TICKS, round(scale.steps * number / TICKS)
        y, x = scale.y(loss), scale.x(step)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{loss:.3g}</text>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{step}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">optimizer steps</text>')
    return parts


def _line(points: Sequence[Point], scale: Scale, colour: str) -> str:
    coordinates = " ".join(f"{scale.x(step):.1f},{scale.y(loss):.1f}" for step, loss in points)
    return f'<polyline points="{coordinates}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _dots(points: Sequence[Point], scale: Scale, colour: str) -> str:
    return "".join(
        f'<circle cx="{scale.x(step):.1f}" cy="{scale.y(loss):.1f}" r="3" fill="{colour}"/>' for step, loss in points
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
