"""The end of a run: a table with a verdict for each source, the report, and the command that asks the model."""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from tasks.evaluation.report.source_views import SourceView
    from tasks.paths import RunFolder

HEADER = ("source", "score", "tuned", "base", "blind", "verdict")
PROGRAM = "rsvlm"
AGAINST_BASE = {"better": "better than base", "worse": "worse than base", "tie": "tie with base"}


class ResultRow(NamedTuple):
    """One source: its headline score of the tuned model, the base model and the best image-blind baseline."""

    source: str
    score: str
    tuned: str
    base: str
    blind: str
    verdict: str


def result_rows(run: "RunFolder") -> list[ResultRow]:
    """A row for each source of a finished run."""
    from tasks.evaluation.report.source_views import source_views
    from tasks.evaluation.report_folder import read_metrics
    from tasks.evaluation.scores import metric_value
    from tasks.files import read_json
    from tasks.paths import BASE, FINAL

    tuned, base = (read_metrics(run.report(model)) for model in (FINAL, BASE))
    return [
        ResultRow(
            view.label,
            view.metric,
            _number(view.value),
            _number(metric_value(view.base, view.metric) if view.base else None),
            _number(view.blind),
            verdict(view),
        )
        for view in source_views(tuned, base, read_json(run.comparison), drawn="data" in tuned)
    ]


def verdict(view: "SourceView") -> str:
    """What the scores of a source show, in words."""
    if view.value is None:
        return view.note or "no score"
    against_base = AGAINST_BASE.get(view.compared["verdict"], "") if view.compared else ""
    if view.gain is None:
        against_blind = "no blind baseline"
    else:
        against_blind = "better than blind" if view.gain_shown else "not better than blind"
    return ", ".join(part for part in (against_blind, against_base) if part)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def print_result(console: "Console", run: "RunFolder") -> None:
    """Print the table, the link to the report and the command that asks the model."""
    from rich.style import Style
    from rich.text import Text

    from tasks.paths import FINAL, REPORT_PAGE

    page = run.report(FINAL) / REPORT_PAGE
    console.print(_table(result_rows(run)))
    link = Style(link=page.resolve().as_uri(), underline=True)
    for title, text in (
        ("report", Text(shorter(page), link if console.is_terminal else "")),
        ("ask it", Text(shlex.join([program(), "chat", "--model", shorter(run.merged)]))),
    ):
        # one line each, however narrow: they are copied
        console.print(Text(f"{title}  ", "bold") + text, soft_wrap=True)


def _table(rows: Sequence[ResultRow]) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in HEADER:
        table.add_column(name, justify="right" if name in ("tuned", "base", "blind") else "left", overflow="fold")
    for row in rows:
        table.add_row(*row, style="green" if row.verdict.startswith("better than blind") else "")
    return table


def shorter(path: Path) -> str:
    """A path from the current folder, if it is below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def program() -> str:
    """How this command is called: by its name if it is on PATH, else by its path."""
    called = Path(sys.argv[0])
    if called.name != PROGRAM or shutil.which(PROGRAM):
        return PROGRAM
    return shorter(Path(os.path.abspath(called)))  # noqa: PTH100 - a link in a virtual environment stays one
