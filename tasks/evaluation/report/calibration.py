"""How counts are answered against what is true, as inline SVG: on the line, a count is right."""

import math
from collections import Counter
from collections.abc import Iterable
from html import escape

SIDE, LEFT, BOTTOM, TOP = 320, 44, 36, 10
MOST_DOTS = 800
MARKS = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 100000, 1000000)


def draw_calibration(title: str, pairs: Iterable[tuple[float, float]]) -> str | None:
    """An SVG element with a dot for each (truth, answer), larger where there are more; None without any.

    Both axes are those of log(1 + count). Of more than 800 different pairs the most frequent are drawn.
    """
    dots = Counter((truth, answer) for truth, answer in pairs if truth >= 0 and answer >= 0)
    if not dots:
        return None
    highest = max(max(pair) for pair in dots) or 1.0
    scale = (SIDE - LEFT - TOP) / math.log1p(highest)

    def along(value: float) -> float:
        return math.log1p(value) * scale

    x0, y0 = LEFT, SIDE - BOTTOM
    parts = [_marks(x0, y0, along(mark), mark) for mark in MARKS if mark <= highest]
    parts.append(f'<path class="dashed" d="M{x0} {y0}L{x0 + along(highest):.1f} {y0 - along(highest):.1f}"/>')
    most = max(dots.values())
    for (truth, answer), count in dots.most_common(MOST_DOTS):
        radius = 1.2 + 7 * math.sqrt(count / most)
        parts.append(
            f'<circle class="dot" cx="{x0 + along(truth):.1f}" cy="{y0 - along(answer):.1f}" r="{radius:.1f}"/>'
        )
    parts.append(f'<text class="value" x="{(x0 + SIDE) / 2:.0f}" y="{SIDE - 4}" text-anchor="middle">true count</text>')
    parts.append(f'<text class="value" x="{x0 + 6}" y="{TOP + 4}">answered</text>')
    label = escape(f"{title}: {sum(dots.values())} counts, answered against true")
    box = f"-4 -8 {SIDE + 12} {SIDE + 8}"
    return f'<svg class="square" viewBox="{box}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _marks(x0: float, y0: float, place: float, mark: int) -> str:
    name = f"{mark // 1000}k" if mark >= 1000 else str(mark)
    return (
        f'<text class="value" x="{x0 + place:.1f}" y="{y0 + 16}" text-anchor="middle">{name}</text>'
        f'<text class="value" x="{x0 - 8}" y="{y0 - place + 4:.1f}" text-anchor="end">{name}</text>'
    )
