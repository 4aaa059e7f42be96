"""The report in brief, for Prefect's pages: rows, some sentences, one picture."""

from html import escape

from tasks.evaluation.report.charts import WIDTH, bars_height
from tasks.evaluation.report.source_views import source_views
from tasks.evaluation.scores import Metrics

TITLE_HEIGHT, MARGIN = 34, 14
STYLE = (
    "svg{background:#fff}text{font:12.5px system-ui,sans-serif;fill:#1d2420}.value{fill:#5d6a63}"
    ".detail{fill:#5d6a63;font-size:11px}"
    ".title{font-weight:600;font-size:14px}.model{fill:#1f7a55}.base{fill:#8aa79a}.blind{fill:#d9a441}"
    ".human{fill:#6a7fb5}.interval{stroke:#1d2420;stroke-width:1.4;fill:none}"
)


def summary_rows(metrics: Metrics) -> list[dict[str, object]]:
    """A row for each source: its score with interval, the best image-blind baseline, and the gain over it."""
    return [
        {
            "source": view.label,
            "images": view.scores["images"],
            "score": view.metric,
            "value": None if view.value is None else round(view.value, 4),
            "95 %": " to ".join(f"{bound:.3f}" for bound in view.interval or ()),
            "image-blind": None if view.blind is None else round(view.blind, 4),
            "gain": None if view.gain is None else round(view.gain, 4),
            "gain shown": "yes" if view.gain_shown else "no",
        }
        for view in source_views(metrics, drawn="data" in metrics)
    ]


def summary_markdown(about: str, metrics: Metrics) -> str:
    """The verdict in words: the gain of each source over its image-blind baselines."""
    rows = summary_rows(metrics)
    shown = sum(row["gain shown"] == "yes" for row in rows)
    verdict = f"**Gain over image-blind baselines: shown on {shown} of {len(rows)} sources.**"
    lines = [f"## {about}", "", verdict, ""]
    for row in rows:
        interval = f" ({row['95 %']})" if row["95 %"] else ""
        gain = "no baseline is known" if row["gain"] is None else f"{row['gain']:+.3f} over image-blind baselines"
        value = "none" if row["value"] is None else f"{row['value']:.3f}"
        lines.append(f"- {row['source']}: {row['score']} {value}{interval}, {gain}, {row['images']} images")
    protocol = metrics["protocol"]
    if part := metrics.get("partial"):
        lines.append(f"- partial: only {part['answered']} of {part['questions']} questions are answered")
    return "\n".join(
        [*lines, "", f"Protocol `{protocol['fingerprint'][:12]}`, {protocol['test_set']['records']} records."]
    )


def draw_summary(title: str, metrics: Metrics) -> str:
    """An SVG file: the score of each source next to its controls."""
    parts, top = [], MARGIN
    for view in source_views(metrics, drawn="data" in metrics):
        heading = f"{title}: {view.label} {view.metric}"
        height = bars_height(view.bars)
        parts.append(f'<text class="title" x="{MARGIN}" y="{top + 18}">{escape(heading)}</text>')
        top += TITLE_HEIGHT
        parts.append(f'<svg y="{top}" width="{WIDTH}" height="{height}">{view.bars}</svg>')
        top += height + MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}">'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>\n"
    )
