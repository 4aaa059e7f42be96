"""The pages of `rsvlm view`: what each template shows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from tasks.errors import UserError
from tasks.evaluation.compared_scores import Difference, ModelComparison, compared_sources, differences_by_metric
from tasks.evaluation.comparison import compare
from tasks.evaluation.metrics.registry import METRICS_BY_TASK
from tasks.evaluation.report_folder import read_report
from tasks.paths import BASE, FINAL
from tasks.runs.catalog import Catalog, Report, different_settings
from tasks.runs.charts import MOST_LINES, axis_ends, draw_lines, draw_spark
from tasks.runs.curves import LossCurves, read_curves, read_progress
from tasks.runs.index import RunSummary
from tasks.runs.scores import DAMAGED, read_scores
from tasks.runs.side_by_side import CHANGES, AnsweredTwice, choose_answers
from tasks.runs.words import name_of_path, size_in_words

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).with_name("templates")
STYLES = (Path(__file__).parents[1] / "evaluation" / "report" / "style.css", TEMPLATES / "view.css")
SCRIPT = TEMPLATES / "view.js"
DAMAGED_REPORT = "One of these reports is damaged: evaluate its answers again."


class ComparedRow(NamedTuple):
    """A row of a comparison: source, metric, and the difference between two models."""

    source: str
    metric: str
    found: Difference


@cache
def environment() -> "Environment":
    """The templates; every text is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        num=_number,
        interval=_interval,
        size=size_in_words,
        short=name_of_path,
        time=_time,
        setting=_setting,
        p_value=_p_value,
    )
    made.globals.update(query=_query, BASE=BASE, FINAL=FINAL)
    return made


def style() -> str:
    """The report's own style sheet, and what only these pages need."""
    return "\n".join(path.read_text(encoding="utf-8") for path in STYLES)


def index_page(catalog: Catalog, has_login: bool) -> str:
    """All runs as a table."""
    runs = catalog.runs()
    return _render(
        "index.html.j2",
        title="Runs",
        folder=catalog.root,
        runs=runs,
        sources=_sources(runs),
        states=sorted({run.state for run in runs}),
        data=sorted({run.data for run in runs if run.data}),
        bases=sorted({run.base for run in runs if run.base}),
        sparks={run.name: draw_spark(points) for run in runs if (points := read_curves(run.paths).trained)},
        progress={run.name: found for run in runs if run.state == "running" and (found := read_progress(run.paths))},
        sweeps=catalog.sweeps(),
        has_login=has_login,
    )


def run_page(run: RunSummary) -> str:
    """One run: its reports, scores, curves and settings."""
    curves = read_curves(run.paths)
    return _render(
        "run.html.j2",
        title=run.name,
        run=run,
        scores={model: read_scores(run.paths, model) for model in run.reports},
        progress=read_progress(run.paths) if run.state == "running" else None,
        charts=_charts({run.name: curves}),
        settings=run.paths.experiment.read_text(encoding="utf-8", errors="replace"),
        has_log=run.paths.log.is_file(),
    )


def curves_page(runs: Sequence[RunSummary]) -> str:
    """The loss curves and the scores of several runs side by side."""
    shown = runs[:MOST_LINES]
    curves = {run.name: read_curves(run.paths) for run in shown}
    ends = axis_ends(found.trained for found in curves.values())
    return _render(
        "curves.html.j2",
        title="Curves",
        runs=shown,
        left_out=len(runs) - len(shown),
        charts=_charts(curves),
        single={name: draw_lines(f"Loss of {name}", {name: found.trained}, ends) for name, found in curves.items()
                if found.trained},
        sources=_sources(shown),
    )  # fmt: skip


def _charts(curves: Mapping[str, LossCurves]) -> list[tuple[str, str]]:
    """The heading and the SVG of the training and validation losses of some runs; only those that there are."""
    lines = {
        "Training loss": {name: found.trained for name, found in curves.items()},
        "Validation loss": {name: found.validated for name, found in curves.items()},
    }
    return [(title, draw_lines(title, each)) for title, each in lines.items() if any(each.values())]


def compare_page(a: Report, b: Report) -> str:
    """Two reports compared image by image, their settings, curves and answers side by side."""
    problem: str | None = None
    rows: list[ComparedRow] = []
    answers: list[AnsweredTwice] = []
    try:
        rows = _rows(compare(a.folder, b.folder, None))
        answers = choose_answers(read_report(a.folder).rows, read_report(b.folder).rows)
    except UserError as error:
        problem = f"{a.name} and {b.name} cannot be compared. {error}"
    except DAMAGED:
        problem = DAMAGED_REPORT
    return _render(
        "compare.html.j2",
        title=f"{a.name} and {b.name}",
        a=a,
        b=b,
        problem=problem,
        rows=rows,
        settings=different_settings(a.run.paths, b.run.paths),
        charts=_charts({run.name: read_curves(run.paths) for run in (a.run, b.run)}),
        answers=answers,
        changes=[change for change in CHANGES if any(each.change == change for each in answers)],
        sources=sorted({each.source for each in answers}),
    )


def _rows(compared: ModelComparison) -> list[ComparedRow]:
    return [
        ComparedRow(source, metric, found)
        for task in METRICS_BY_TASK
        for source, of_source in compared_sources(compared, task).items()
        for metric, found in differences_by_metric(of_source).items()
    ]


def login_page(next_path: str, message: str) -> str:
    """The login form; `next_path` is where it leads."""
    return _render("login.html.j2", title="Log in", next_path=next_path, message=message)


def message_page(title: str, message: str) -> str:
    """A refusal with its reason."""
    return _render("message.html.j2", title=title, message=message)


def _render(template: str, **values: object) -> str:
    return environment().get_template(template).render(**values)


def _sources(runs: Sequence[RunSummary]) -> dict[str, str]:
    """The sources of some runs and the metrics of their scores, in the order of their reports."""
    return {source: score.metric for run in runs for source, score in run.scores.items()}


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(bounds: Sequence[float] | None) -> str:
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}" if bounds else ""


def _p_value(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"


def _setting(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None else str(value)


def _time(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def _query(**values: str | Sequence[str]) -> str:
    return urlencode(values, doseq=True)
