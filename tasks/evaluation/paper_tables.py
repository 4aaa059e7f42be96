"""The table of a paper: scores of compared models with their intervals, paired tests and best values; as CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import cast

from tasks.errors import OccupiedError
from tasks.evaluation.compared_scores import Difference, ModelComparison, compared_sources, differences_by_metric
from tasks.evaluation.gains import SIGNIFICANT
from tasks.evaluation.metrics.registry import HEADLINE, METRICS_BY_TASK, Metric, metrics_of
from tasks.evaluation.objective import SEED, values_by_source
from tasks.evaluation.report_folder import read_metrics, read_report, report_path
from tasks.evaluation.scores import Interval, Metrics, Protocol, metric_value, of_task
from tasks.evaluation.tables import AnswerRow, row_score
from tasks.evaluation.uncertainty.families import worse_than_best
from tasks.evaluation.uncertainty.moments import Floats
from tasks.paths import REPORTS
from tasks.prompt_text import Task

CSV_COLUMNS = (
    *("model", "task", "source", "metric", "value", "low", "high"),
    *("difference", "p_value", "p_value_holm", "verdict"),
)
# a score of metrics.json that is a mean over types of questions, not over answers: models are not tested by it
AVERAGE_ACCURACY = Metric(name="average_accuracy", version=None, interval=False, compared=False)
FURTHER: Mapping[Task, tuple[Metric, ...]] = {"vqa": (AVERAGE_ACCURACY,)}


@dataclass(frozen=True)
class Column:
    """A metric of one source's captions or questions."""

    task: Task
    source: str
    metric: Metric


@dataclass(frozen=True)
class Cell:
    """One model's score in the scale of metrics.json, and its difference from report A.

    `interval` is None if there is none, or one of width 0, which would suggest certainty. `compared` is None for
    report A and for metrics without a paired test. `best`: the best of its column, or a tie with it.
    """

    value: float
    interval: Interval
    compared: Difference | None
    best: bool


@dataclass(frozen=True)
class PaperTable:
    """The cells by column and model (0 is report A); a model without a score has no cell.

    `digests` are those of the reports.
    """

    models: Sequence[str]
    digests: Sequence[str]
    metrics: Sequence[Metrics]
    cells: Mapping[Column, Mapping[int, Cell]]
    all_metrics: bool

    @property
    def protocol(self) -> Protocol:
        """The protocol, which is the same for all reports but for how intervals were computed."""
        return self.metrics[0]["protocol"]

    @property
    def tasks(self) -> list[Task]:
        """The tasks of the columns."""
        return list(dict.fromkeys(column.task for column in self.cells))


def paper_table(reports: Sequence[Path], comparisons: Sequence[ModelComparison], all_metrics: bool) -> PaperTable:
    """The table of report A, which is the first, and of the others, each with its comparison with report A.

    The columns are the headline metric of each source, or all metrics.
    """
    metrics = [read_metrics(report_path(folder)) for folder in reports]
    columns = list(_columns(metrics, all_metrics))
    tests = _Tests(comparisons, _gaps_to_best(reports, columns, metrics))
    return PaperTable(
        models=model_labels(reports),
        digests=[comparisons[0]["a"]["sha256"], *(each["b"]["sha256"] for each in comparisons)],
        metrics=metrics,
        cells={column: _cells(column, metrics, tests) for column in columns},
        all_metrics=all_metrics,
    )


def model_labels(reports: Sequence[Path]) -> list[str]:
    """The names of the reports' folders, with as many of the folders above as it takes to tell them apart."""
    parts = [tuple(part for part in report_path(each).resolve().parts if part != REPORTS) for each in reports]
    labels: list[str] = []
    for depth in range(1, max(map(len, parts)) + 1):
        # a path may contain bytes that are not UTF-8
        labels = ["/".join(each[-depth:]).encode(errors="replace").decode() for each in parts]
        if len(set(labels)) == len(set(parts)):
            break
    return labels


def _columns(metrics: Sequence[Metrics], all_metrics: bool) -> Iterator[Column]:
    """The columns, captions first; of all metrics, those by which no source of any report has a score are left out."""
    for task in METRICS_BY_TASK:
        for metric in (*metrics_of(task), *FURTHER.get(task, ())):
            scored = any(
                metric_value(scores, metric.name) is not None
                for each in metrics
                for scores in of_task(each, task).values()
            )
            if (all_metrics and scored) or metric.name == HEADLINE[task]:
                yield from (Column(task, source, metric) for source in of_task(metrics[0], task))


class _Tests:
    """The comparisons with report A, and each model's gap to the best of its column, one family over the table."""

    def __init__(self, comparisons: Sequence[ModelComparison], gaps: Mapping[Column, Mapping[int, float]]):
        self._comparisons, self._gaps = dict(enumerate(comparisons, 1)), gaps

    def difference(self, column: Column, model: int) -> Difference | None:
        """The difference of a model from report A; None for report A and for metrics without a test."""
        if model == 0:
            return None
        compared = compared_sources(self._comparisons[model], column.task).get(column.source, {})
        return differences_by_metric(compared).get(column.metric.name)

    def ties(self, column: Column, model: int) -> bool | None:
        """Whether a model ties with the best; None without a test.

        Against report A the marks decide, so that bold never contradicts them.
        """
        if column not in self._gaps:
            return None
        near = model == 0 or self._gaps[column].get(model, 1.0) >= SIGNIFICANT
        return near and not self.beaten(column, model)

    def beaten(self, column: Column, model: int) -> bool:
        """Whether a model's mark is worse or, of report A, another model's is better."""
        if model == 0:
            marks = [mark["verdict"] for number in self._comparisons if (mark := self.difference(column, number))]
            return "better" in marks
        mark = self.difference(column, model)
        return mark is not None and mark["verdict"] == "worse"


def _gaps_to_best(
    reports: Sequence[Path], columns: Sequence[Column], metrics: Sequence[Metrics]
) -> dict[Column, dict[int, float]]:
    """Adjusted p-values of each model's gap to the best of its column, by column and model; columns with a test only.

    Of two models there are none: the marks against report A are the paired test.
    """
    rows = [_scores_of(read_report(folder).rows, columns) for folder in reports]
    found: dict[Column, tuple[list[int], Floats]] = {}
    for column in columns:
        scores = {number: of_task(each, column.task).get(column.source) for number, each in enumerate(metrics)}
        values = {
            number: value
            for number, of_source in scores.items()
            if of_source is not None and (value := metric_value(of_source, column.metric.name)) is not None
        }
        if column.metric.compared and values:
            sign = 1 if column.metric.higher_is_better else -1
            key = {column.source: column.metric}
            of_models = values_by_source(
                [rows[number] for number in values], [{column.source: v} for v in values.values()], key
            )
            if column.source in of_models and len(of_models[column.source]) > 1:
                found[column] = list(values), sign * of_models[column.source]
    if len(reports) < 3 or not found:
        return {column: {} for column in found}
    p_values = worse_than_best([values for _, values in found.values()], SEED)
    return {
        column: {number: float(p) for number, p in zip(numbers, each, strict=True)}
        for (column, (numbers, _)), each in zip(found.items(), p_values, strict=True)
    }


def _scores_of(rows: Iterable[AnswerRow], columns: Sequence[Column]) -> list[AnswerRow]:
    """The rows with nothing but source, image and scores: the texts of a million questions would fill the memory."""
    names = {column.metric.column for column in columns if column.metric.compared}
    slim = (
        {
            "source": intern(row["source"]),
            "image": intern(row["image"]),
            **{name: score for name in names if (score := row_score(row, name)) is not None},
        }
        for row in rows
    )
    return cast(list[AnswerRow], list(slim))


def _cells(column: Column, metrics: Sequence[Metrics], tests: _Tests) -> dict[int, Cell]:
    name, sources = column.metric.name, [of_task(each, column.task).get(column.source) for each in metrics]
    scores = {number: found for number, found in enumerate(sources) if found is not None}
    values = {number: value for number, found in scores.items() if (value := metric_value(found, name)) is not None}
    best = _best(column, values, tests)
    intervals = {number: scores[number]["ci95"].get(name) for number in values}
    return {
        number: Cell(
            value,
            interval if (interval := intervals[number]) and interval[0] < interval[1] else None,
            tests.difference(column, number),
            number in best,
        )
        for number, value in values.items()
    }


def _best(column: Column, values: Mapping[int, float], tests: _Tests) -> set[int]:
    """The model with the best value and those that tie with it; without a test, those whose printed value is equal.

    A model between the best and one that ties with it is in bold too, unless a mark says that it is beaten.
    """
    ordered = sorted(values, key=lambda number: values[number], reverse=column.metric.higher_is_better)
    found, between = set(ordered[:1]), set[int]()
    for number in ordered:
        tie = tests.ties(column, number)
        if show_number(values[number]) == show_number(values[ordered[0]]) if tie is None else tie:
            found |= {number, *between}
        elif tie is not None and not tests.beaten(column, number):
            between.add(number)
    return found


def csv_text(table: PaperTable) -> str:
    """The table as CSV, with a row per model, source and metric, at full precision; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for column, cells in table.cells.items():
        where = column.task, column.source, column.metric.name
        for number, cell in cells.items():
            tested = _tested(cell.compared) if cell.compared else ()
            row = [table.models[number], *where, cell.value, *(cell.interval or (None, None)), *tested]
            writer.writerow(row + [None] * (len(CSV_COLUMNS) - len(row)))
    return text.getvalue()


def _tested(found: Difference) -> tuple[float | str, ...]:
    return found["difference"], found["p_value"], found["p_adjusted"], found["verdict"]


def show_number(value: float) -> str:
    """A number as tables print it."""
    return f"{value:.3f}"


def require_free(files: Mapping[Path, str]) -> None:
    """Raise OccupiedError if one of these paths exists with content that differs from the text to be written there."""
    for path, text in files.items():
        if path.exists() and not (path.is_file() and path.read_bytes() == text.encode()):
            raise OccupiedError(f"{path} already has other content: give another path, or move it away.")
