"""The history of a run's scores as rows of a table and as a picture."""

from collections.abc import Sequence
from html import escape
from typing import Any

from tasks.evaluation.report.curves import HEIGHT, WIDTH, Point, draw_curve
from tasks.reevaluating.history import Evaluation

HEADING = 30
STYLE = (
    "svg{background:#fff}text{font:12.5px system-ui,sans-serif;fill:#1d2420}.value{fill:#5d6a63}"
    ".title{font-weight:600;font-size:14px}.model{fill:#1f7a55}.rule{stroke:#dfe4e0}.band{fill:#1f7a55;opacity:.16}"
    ".course{fill:none;stroke:#1f7a55;stroke-width:2}"
)


def history_rows(history: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """A row for each evaluation and source, newest first."""
    return [
        {
            "number": each.number,
            "time": each.time,
            "model": each.model,
            "step": each.step,
            "source": source,
            "score": found["metric"],
            "value": round(found["value"], 4),
            "95 %": " to ".join(f"{bound:.3f}" for bound in found["ci95"] or ()),
            "against the last": each.changes[source]["verdict"] if source in each.changes else each.verdict,
        }
        for each in reversed(history)
        for source, found in each.scores.items()
    ]


def draw_history(history: Sequence[Evaluation]) -> str:
    """An SVG file: for each model and source its scores over the evaluations, by their numbers."""
    parts, top = [], 0
    for model in dict.fromkeys(each.model for each in history):
        of_model = [each for each in history if each.model == model]
        for source, found in of_model[-1].scores.items():
            points = [
                Point(str(each.number), each.scores[source]["value"], each.scores[source]["ci95"])
                for each in of_model
                if source in each.scores
            ]
            title = f"{model}: {source} {found['metric']}"
            parts.append(f'<text class="title" x="14" y="{top + 20}">{escape(title)}</text>')
            curve = draw_curve(title, points, None)
            parts.append(f'<svg y="{top + HEADING}" width="{WIDTH}" height="{HEIGHT}">{curve}</svg>')
            top += HEADING + HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}">'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>\n"
    )
