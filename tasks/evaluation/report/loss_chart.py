"""The report's loss curve as inline SVG, with the colours of the page."""

from collections.abc import Callable, Sequence

from tasks.axes import axis_end
from tasks.evaluation.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TICKS, TOP, WIDTH, draw_tick

Losses = Sequence[tuple[int, float]]


def draw_losses(training: Losses, validation: Losses = ()) -> str:
    """An SVG element: the training loss over the optimizer steps, and the validation loss as dots; both axes from 0."""
    every = [*training, *validation]
    last, most = max(step for step, _ in every) or 1, axis_end(max(loss for _, loss in every) or 1.0, TICKS)

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / last

    def y(loss: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * loss / most

    parts = [draw_tick(y(most * tick / TICKS), most * tick / TICKS) for tick in range(TICKS + 1)]
    parts += [
        f'<text x="{x(step):.1f}" y="{HEIGHT - 14}" text-anchor="{anchor}">{text}</text>'
        for step, anchor, text in ((0, "middle", "0"), (last, "end", f"step {last:,}"))
    ]
    parts.append(_line("curve", training, x, y))
    if validation:
        parts.append(_line("curve validated", validation, x, y))
        parts += [f'<circle class="human" cx="{x(step):.1f}" cy="{y(loss):.1f}" r="3.5"/>' for step, loss in validation]
    return (
        f'<svg class="bars" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_described(training, validation)}">'
        f"{''.join(parts)}</svg>"
    )


def _line(kind: str, losses: Losses, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    points = " ".join(f"{x(step):.1f},{y(loss):.1f}" for step, loss in losses)
    return f'<polyline class="{kind}" points="{points}"/>'


def _described(training: Losses, validation: Losses) -> str:
    named = [("training", training), ("validation", validation)]
    return "; ".join(
        f"{name} loss from {losses[0][1]:.2f} to {losses[-1][1]:.2f} at step {losses[-1][0]}"
        for name, losses in named
        if losses
    )
