"""Bars with intervals as inline SVG: no plotting library, no network, and the page's own colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

ROW, LABEL, WIDTH, VALUE = 26, 170, 560, 56


@dataclass(frozen=True)
class Bar:
    """One bar: `kind` is its colour's class in the style sheet (model, base, blind or human)."""

    label: str
    kind: str
    value: float
    interval: Sequence[float] | None = None


def draw_bars(title: str, bars: Sequence[Bar], most: float | None = None) -> str:
    """An SVG element with one bar a row, from 0 to `most` (default: the greatest value or interval's end)."""
    ends = [max(bar.value, *(bar.interval or ())) if bar.interval else bar.value for bar in bars]
    scale = (WIDTH - LABEL - VALUE) / (most or max([*ends, 0]) or 1)
    said = "; ".join(f"{bar.label} {bar.value:.3f}" for bar in bars)
    rows = "".join(_draw_row(place * ROW, bar, scale) for place, bar in enumerate(bars))
    return (
        f'<svg class="bars" viewBox="0 0 {WIDTH} {ROW * len(bars)}" role="img" '
        f'aria-label="{escape(title)}: {escape(said)}">{rows}</svg>'
    )


def _draw_row(top: float, bar: Bar, scale: float) -> str:
    middle = top + ROW / 2
    parts = [
        f'<text x="{LABEL - 8}" y="{middle + 4}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect class="{bar.kind}" x="{LABEL}" y="{top + 5}" width="{max(1, bar.value * scale):.1f}" '
        f'height="{ROW - 10}" rx="3"/>',
    ]
    end = bar.value
    if bar.interval:
        low, high = (LABEL + bound * scale for bound in bar.interval)
        end = max(end, bar.interval[1])
        caps = "".join(f"M{x:.1f} {middle - 5}v10" for x in (low, high))
        parts.append(f'<path class="interval" d="M{low:.1f} {middle}H{high:.1f}{caps}"/>')
    parts.append(f'<text class="value" x="{LABEL + end * scale + 7:.1f}" y="{middle + 4}">{bar.value:.3f}</text>')
    return "".join(parts)
