"""The leaderboard as one HTML file that needs no network, with its charts, and as rows for Prefect's pages."""

from collections.abc import Mapping, Sequence
from html import escape
from math import log10

from tasks.evaluation.headline import HeadlineScore
from tasks.sweeping.config import Choice
from tasks.sweeping.leaderboard import BEST, TIE, Chosen, Leaderboard, LeaderboardRow
from tasks.sweeping.search_space import format_value

STYLE = """
:root{color-scheme:light dark;--page:#f6f7f5;--card:#fff;--ink:#1d2420;--quiet:#5d6a63;--line:#dfe4e0;--good:#1f7a55;
--tie:#d9a441}
@media(prefers-color-scheme:dark){:root{--page:#141816;--card:#1d2320;--ink:#e6ebe8;--quiet:#9aa8a1;--line:#323a36;
--good:#4fbd8c}}
body{margin:0 auto;padding:2rem 1.25rem;max-width:1100px;font:15px/1.5 system-ui,sans-serif;background:var(--page);
color:var(--ink)}
h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .6rem}.quiet{color:var(--quiet)}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1rem;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--quiet);font-size:.86rem}td:first-child,th:first-child{text-align:left}small{color:var(--quiet)}
svg{width:100%;height:auto}svg text{font-size:12.5px;fill:var(--ink);
paint-order:stroke;stroke:var(--card);stroke-width:4px}svg .value{fill:var(--quiet)}
svg .rule{stroke:var(--ink);stroke-width:1}svg polyline{fill:none;stroke:var(--quiet);stroke-width:1.3;opacity:.5}
svg polyline.tie{stroke:var(--tie);opacity:.9}svg polyline.best{stroke:var(--good);stroke-width:3;opacity:1}
svg rect{fill:var(--good)}
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 320, 70, 70, 40, 30
BAR, LABEL = 26, 240
SCORE = "score"
# an axis whose values span this factor or more is logarithmic: learning rates and ranks would crowd at the bottom
LINEAR_SPAN = 5
MOST_TICKS = 6


def render_sweep(name: str, board: Leaderboard, unscored: Mapping[str, int], importance: Mapping[str, float]) -> str:
    """The page of a sweep; `unscored` counts the points without a score by the reason."""
    rows = board.rows
    ties = sum(row.verdict == TIE for row in rows)
    left_out = "".join(f" {count} {reason}." for reason, count in unscored.items() if count)
    chart = f'<div class="card">{draw_importance(importance)}</div>' if importance else _too_few()
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(name)}</title><style>{STYLE}</style></head>'
        f"<body><h1>Sweep {escape(name)}</h1>"
        f'<p class="quiet">{len(rows)} points with a score, {ties} of them a tie with the best.{left_out} '
        "All scores are on the validation set, by which the best point was selected: its own score is too high. Its "
        f"report on the test set has the unbiased one. {_scale(board)}</p>{_corrected(board.chosen)}"
        f'<h2>Leaderboard</h2><div class="card">{_table(rows)}</div>'
        f'<h2>Settings and score</h2><p class="quiet">One line per point: green the best, yellow its ties.</p>'
        f'<div class="card">{draw_parallel(rows)}</div>'
        f"<h2>Importance of the settings</h2>{chart}</body></html>\n"
    )


def _too_few() -> str:
    return '<p class="quiet">Too few different points to estimate it.</p>'


def _scale(board: Leaderboard) -> str:
    """What the score is, and which sources it leaves out."""
    if board.reference is None:
        if len(board.chosen.corrected_sources) < 2:
            return "The score is that of the only source."
        return (
            "The score is the mean of the sources' scores, in which those with a wide scale (CIDEr: 0 to 10) weigh "
            "most: the sweep was started by an earlier version, or no source has an interval."
        )
    left_out = ", ".join(board.reference.unresolved)
    without = f" Left out, since it has no interval: {escape(left_out)}." if left_out else ""
    return (
        "The score is the sum of the sources' differences from the first point, each in standard errors of that "
        "point's score, over the root of the number of sources: every source counts alike, and the first point has 0."
        f"{without}"
    )


def _corrected(chosen: Chosen) -> str:
    """The scores of the best point, corrected; nothing where there was no choice."""
    if chosen.points < 2:
        return ""
    lines = [("score", chosen.score, chosen.corrected)]
    lines += [
        (f"{source} {chosen.sources[source]['metric']}", chosen.sources[source]["value"], value)
        for source, value in chosen.corrected_sources.items()
    ]
    body = "".join(
        f"<tr><td>{escape(name)}</td><td>{plain:.3f}</td><td>{value:.3f}</td></tr>" for name, plain, value in lines
    )
    return (
        f'<h2>Scores of the best point</h2><p class="quiet">Corrected for having been chosen among '
        f'{chosen.points} points.</p><div class="card"><table><thead><tr><th></th><th>validation</th>'
        "<th>corrected</th></tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _table(rows: Sequence[LeaderboardRow]) -> str:
    cells = [_cells(row) for row in rows]
    heads = "".join(f"<th>{escape(head)}</th>" for head in cells[0])
    body = "".join(f"<tr>{''.join(map(_cell, line.values()))}</tr>" for line in cells)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    """A table cell with the interval under its value: on one line, four sources would not fit on the page."""
    value, _, interval = text.partition(" (")
    return f"<td>{escape(value)}{f'<br><small>({escape(interval)}</small>' if interval else ''}</td>"


def _cells(row: LeaderboardRow) -> dict[str, str]:
    return {
        "run": row.run,
        **{path.split(".")[-1]: format_value(value) for path, value in row.settings.items()},
        SCORE: f"{row.score:.4f}",
        "against the best": row.verdict,
        **{f"{source} {found['metric']}": _with_interval(found) for source, found in row.sources.items()},
    }


def _with_interval(found: HeadlineScore) -> str:
    interval = found["ci95"]
    return f"{found['value']:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def table_rows(rows: Sequence[LeaderboardRow]) -> list[dict[str, str]]:
    """The leaderboard as rows of a table artifact."""
    return [_cells(row) for row in rows]


class Axis:
    """The axis of one setting: linear or logarithmic for numbers, the order of first occurrence for other values."""

    def __init__(self, name: str, values: Sequence[Choice]) -> None:
        self.name = name
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        self._order = None if len(numbers) == len(values) else list(dict.fromkeys(map(str, values)))
        self._log = self._order is None and min(numbers) > 0 and max(numbers) / min(numbers) >= LINEAR_SPAN
        known: Sequence[float | str] = sorted(set(numbers)) if self._order is None else self._order
        self.ticks = known if len(known) <= MOST_TICKS else [known[0], known[len(known) // 2], known[-1]]
        self._low, self._high = (self._position(known[0]), self._position(known[-1])) if known else (0.0, 0.0)

    def _position(self, value: Choice) -> float:
        if self._order is not None:
            return float(self._order.index(str(value)))
        assert isinstance(value, int | float)
        return log10(value) if self._log else float(value)

    def y(self, value: Choice) -> float:
        """The position of a value, in pixels from the top."""
        span = self._high - self._low
        share = (self._position(value) - self._low) / span if span else 0.5
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def draw_parallel(rows: Sequence[LeaderboardRow]) -> str:
    """Parallel coordinates as an SVG element: an axis for each setting and for the score, a line for each point."""
    names = list(rows[0].settings)
    axes = [Axis(name, [row.settings[name] for row in rows]) for name in names]
    axes.append(Axis(SCORE, [row.score for row in rows]))
    step = (WIDTH - LEFT - RIGHT) / max(len(axes) - 1, 1)
    columns = [LEFT + step * number for number in range(len(axes))]
    lines = [_line(row, axes, columns) for row in reversed(rows)]
    drawn = [_axis(axis, x) for axis, x in zip(axes, columns, strict=True)]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="settings and score of {len(rows)} points">'
        f"{''.join(lines)}{''.join(drawn)}</svg>"
    )


def _line(row: LeaderboardRow, axes: Sequence[Axis], columns: Sequence[float]) -> str:
    values = [*row.settings.values(), row.score]
    points = " ".join(f"{x:.1f},{axis.y(value):.1f}" for x, axis, value in zip(columns, axes, values, strict=True))
    kind = row.verdict if row.verdict in (BEST, TIE) else "other"
    return f'<polyline class="{kind}" points="{points}"><title>{escape(row.run)}</title></polyline>'


def _axis(axis: Axis, x: float) -> str:
    ticks = "".join(
        f'<text class="value" x="{x + 6:.1f}" y="{axis.y(tick) + 4:.1f}">{escape(format_value(tick))}</text>'
        for tick in axis.ticks
    )
    name = escape(axis.name.split(".")[-1])
    return (
        f'<path class="rule" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
        f'<text x="{x:.1f}" y="{TOP - 16}" text-anchor="middle">{name}</text>{ticks}'
    )


def draw_importance(importance: Mapping[str, float]) -> str:
    """An SVG element with a bar for each setting: its share of the importance."""
    scale = WIDTH - LABEL - 80
    rows = "".join(
        f'<text x="{LABEL - 8}" y="{number * BAR + 17}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{LABEL}" y="{number * BAR + 5}" width="{max(1, share * scale):.1f}" height="{BAR - 10}" rx="3"/>'
        f'<text class="value" x="{LABEL + share * scale + 7:.1f}" y="{number * BAR + 17}">{share:.2f}</text>'
        for number, (name, share) in enumerate(importance.items())
    )
    return f'<svg viewBox="0 0 {WIDTH} {BAR * len(importance)}" role="img" aria-label="importance">{rows}</svg>'
