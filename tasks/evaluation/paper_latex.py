"""The table of a paper as LaTeX, for the package booktabs."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from tasks.evaluation.comparison import CORRECTION, TEST
from tasks.evaluation.gains import SIGNIFICANT
from tasks.evaluation.metrics.registry import Metric, metrics_of
from tasks.evaluation.paper_tables import Column, PaperTable, show_number
from tasks.evaluation.scores import Metrics, of_task

TEMPLATE = "paper_table.tex.j2"
# the method of intervals in reports that do not name it
PERCENTILE = "percentile bootstrap"
# columns that fit into the width of a page, and into one of its two text columns
MOST_COLUMNS, NARROW_COLUMNS = 8, 3
# [ and * are special after the end of a row, a quotation mark with the German option of babel
ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\symbol{34}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
        **{character: f"{{{character}}}" for character in "[]*"},
    }
)


@dataclass(frozen=True)
class _Panel:
    """A part of a float: lines of column heads, then groups of rows by heading, with their columns."""

    heads: Sequence[Sequence[str]]
    groups: Sequence[tuple[str, Sequence[Column]]]


def latex_text(table: PaperTable) -> str:
    """The table as a LaTeX float with the protocol in its caption; a table of all metrics has one float per task."""
    if not table.all_metrics:
        return _latex_float(table)
    tasks = [{column: cells for column, cells in table.cells.items() if column.task == task} for task in table.tasks]
    return "\n".join(_latex_float(replace(table, cells=cells)) for cells in tasks)


def _latex_float(table: PaperTable) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        # it would escape for HTML: the template escapes for LaTeX with the filter `tex`
        autoescape=False,  # noqa: S701
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # {{ and {% are common in LaTeX
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    environment.filters.update(tex=escape_latex, num=_number)
    panels, cells = [*_panels(table)], [cell for column in table.cells.values() for cell in column.values()]
    shown = {column.metric for column in table.cells}
    return environment.get_template(TEMPLATE).render(
        table=table,
        sources={task: of_task(table.metrics[0], task) for task in table.tasks},
        panels=panels,
        narrow=all(len(panel.heads[0]) <= NARROW_COLUMNS for panel in panels),
        intervals=_interval_methods(table.metrics) if any(cell.interval for cell in cells) else [],
        untested=_untested(table),
        missing=[metric for metric in metrics_of("captioning") if metric.optional and metric not in shown],
        test=TEST,
        correction=CORRECTION,
        significant=SIGNIFICANT,
    )


def escape_latex(text: str) -> str:
    """The text on one line, for LaTeX to print as it is; letters beyond Latin need XeLaTeX or LuaLaTeX."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    # two dashes would become one
    return re.sub("-(?=-)", "-{}", " ".join(shown.split()).translate(ESCAPES))


def _number(value: float) -> str:
    return show_number(value).replace("-", "$-$")


def _words(metric: Metric) -> str:
    return metric.name.replace("_", " ")


def _panels(table: PaperTable) -> Iterator[_Panel]:
    """Panels with a column for each source; for all metrics of a task, with a group of rows for each source."""
    if not table.all_metrics:
        for part in _parts([*table.cells]):
            yield _Panel([[each.source for each in part], [_words(each.metric) for each in part]], [("", part)])
        return
    by_source: dict[str, list[Column]] = defaultdict(list)
    for column in table.cells:
        by_source[column.source].append(column)
    # all sources of a task have the same metrics
    for parts in zip(*map(_parts, by_source.values()), strict=True):
        yield _Panel([[_words(each.metric) for each in parts[0]]], list(zip(by_source, parts, strict=True)))


def _parts(columns: Sequence[Column]) -> Iterator[Sequence[Column]]:
    """The columns in as few parts as fit the page, of about the same size."""
    size = ceil(len(columns) / ceil(len(columns) / MOST_COLUMNS))
    yield from (columns[start : start + size] for start in range(0, len(columns), size))


def _interval_methods(metrics: Sequence[Metrics]) -> list[str]:
    """How the intervals were computed; reports on the same protocol may differ in it."""
    found = []
    for protocol in (each["protocol"] for each in metrics):
        settings = protocol.get("intervals") or {"method": PERCENTILE, **protocol.get("bootstrap", {})}
        details = (f", {name} {value}" for name, value in settings.items() if name not in ("method", "over", "level"))
        found.append(f"{settings['method']} over {settings.get('over', 'images')}{''.join(details)}")
    return list(dict.fromkeys(found))


def _untested(table: PaperTable) -> list[str]:
    """The metrics without a paired test."""
    tested = {column.metric for column, cells in table.cells.items() if any(cell.compared for cell in cells.values())}
    return list(dict.fromkeys(_words(column.metric) for column in table.cells if column.metric not in tested))
