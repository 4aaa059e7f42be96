"""The leaderboard as one HTML file that needs no network, and as rows for Prefect's pages."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tasks.sweeping.charts import draw_importance, draw_parallel
from tasks.sweeping.leaderboard import Row
from tasks.sweeping.search_space import shown

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
# fewer points say too little to divide importance among settings
FEWEST_FOR_IMPORTANCE = 4


def render_sweep(name: str, rows: Sequence[Row], without: Mapping[str, int], importance: Mapping[str, float]) -> str:
    """The page of a sweep; `without` counts the points that have no score, by what became of them."""
    ties = sum(row.verdict == "tie" for row in rows)
    left_out = "".join(f" {count} {what}." for what, count in without.items() if count)
    weighed = f'<div class="card">{draw_importance(importance)}</div>' if importance else _few()
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(name)}</title><style>{STYLE}</style></head>'
        f"<body><h1>Sweep {escape(name)}</h1>"
        f'<p class="quiet">{len(rows)} points with a score, {ties} of them a tie with the best.{left_out} All scores '
        "are those on the validation set; the score of the best is therefore a little too good, and what it is worth "
        "its report on the test set says.</p>"
        f'<h2>Leaderboard</h2><div class="card">{_table(rows)}</div>'
        f'<h2>Settings and score</h2><p class="quiet">A line for each point: green the best, yellow its ties.</p>'
        f'<div class="card">{draw_parallel(rows)}</div>'
        f"<h2>What mattered</h2>{weighed}</body></html>\n"
    )


def _few() -> str:
    return '<p class="quiet">Too few different points to say.</p>'


def _table(rows: Sequence[Row]) -> str:
    cells = [_cells(row) for row in rows]
    heads = "".join(f"<th>{escape(head)}</th>" for head in cells[0])
    body = "".join(f"<tr>{''.join(map(_cell, line.values()))}</tr>" for line in cells)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: Any) -> str:
    """A cell, an interval below its value: beside it, four sources would not fit on the page."""
    value, _, interval = str(text).partition(" (")
    return f"<td>{escape(value)}{f'<br><small>({escape(interval)}</small>' if interval else ''}</td>"


def _cells(row: Row) -> dict[str, Any]:
    return {
        "run": row.run,
        **{path.split(".")[-1]: shown(value) for path, value in row.settings.items()},
        "score": f"{row.score:.4f}",
        "against the best": row.verdict,
        **{f"{source} {found['metric']}": _with_interval(found) for source, found in row.sources.items()},
    }


def _with_interval(found: Mapping[str, Any]) -> str:
    interval = found["ci95"]
    return f"{found['value']:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def table_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The leaderboard as rows of a table artifact."""
    return [_cells(row) for row in rows]
