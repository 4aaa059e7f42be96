"""The table of a paper: scores of compared models with their intervals, paired tests and best values; as CSV."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import OccupiedError
from tasks.evaluation.compared_scores import Difference, ModelComparison, compared_sources, differences_by_metric
from tasks.evaluation.comparison import compare_several
from tasks.evaluation.metrics.registry import HEADLINE, METRICS_BY_TASK, Metric, metrics_of
from tasks.evaluation.report_folder import read_metrics, report_path
from tasks.evaluation.scores import Interval, Metrics, Protocol, metric_value, of_task
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
    report A and for metrics without a paired test. `best`: the best of its column, or a tie with it by that test.
    """

    value: float
    interval: Interval
    compared: Difference | None
    best: bool


@dataclass(frozen=True)
class PaperTable:
    """The cells by column and model (0 is report A); a model without a score has no cell.

    `digests` are those of the reports, `draws` the number of draws of the paired test.
    """

    models: Sequence[str]
    digests: Sequence[str]
    metrics: Sequence[Metrics]
    cells: Mapping[Column, Mapping[int, Cell]]
    all_metrics: bool
    draws: int

    @property
    def protocol(self) -> Protocol:
        """The protocol, which is the same for all reports but for the settings of the bootstrap."""
        return self.metrics[0]["protocol"]

    @property
    def tasks(self) -> list[Task]:
        """The tasks of the columns."""
        return list(dict.fromkeys(column.task for column in self.cells))


def paper_table(reports: Sequence[Path], comparisons: Sequence[ModelComparison], all_metrics: bool) -> PaperTable:
    """The table of report A, which is the first, and of the others, each with its comparison with report A.

    The columns are the headline metric of each source, or all metrics.
    """
    metrics, tests = [read_metrics(report_path(folder)) for folder in reports], _PairedTests(reports, comparisons)
    return PaperTable(
        models=model_labels(reports),
        digests=[comparisons[0]["a"]["sha256"], *(each["b"]["sha256"] for each in comparisons)],
        metrics=metrics,
        cells={column: _cells(column, metrics, tests) for column in _columns(metrics, all_metrics)},
        all_metrics=all_metrics,
        draws=comparisons[0]["draws"],
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


class _PairedTests:
    """Comparisons of any two models: those with report A are given, the others are made when they are needed."""

    def __init__(self, reports: Sequence[Path], comparisons: Sequence[ModelComparison]):
        self._reports = reports
        self._by_reference = {0: dict(enumerate(comparisons, 1))}

    def difference(self, column: Column, model: int, reference: int = 0) -> Difference | None:
        """The difference of a model from a reference; None for the same model and for metrics without a test."""
        if model == reference:
            return None
        compared = compared_sources(self._compared(reference)[model], column.task).get(column.source, {})
        return differences_by_metric(compared).get(column.metric.name)

    def _compared(self, reference: int) -> dict[int, ModelComparison]:
        if reference not in self._by_reference:
            others = [number for number in range(len(self._reports)) if number != reference]
            paths = [self._reports[number] for number in others]
            found = compare_several(self._reports[reference], paths, None)["comparisons"]
            self._by_reference[reference] = dict(zip(others, found, strict=True))
        return self._by_reference[reference]


def _cells(column: Column, metrics: Sequence[Metrics], tests: _PairedTests) -> dict[int, Cell]:
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


def _best(column: Column, values: Mapping[int, float], tests: _PairedTests) -> set[int]:
    """The model with the best value and those that tie with it; without a test, those whose printed value is equal."""
    choose = max if column.metric.higher_is_better else min
    best = choose(values, key=lambda number: values[number], default=0)
    found = set()
    for number, value in values.items():
        # against report A by the test that decides the marks, so that they never contradict
        pair = (best, number) if number == 0 else (number, best)
        compared = tests.difference(column, *pair)
        if compared["verdict"] == "tie" if compared else show_number(value) == show_number(values[best]):
            found.add(number)
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
    # a single comparison needs no correction
    adjusted = found.get("p_value_holm", found["p_value"])
    return found["difference"], found["p_value"], adjusted, found["verdict"]


def show_number(value: float) -> str:
    """A number as tables print it."""
    return f"{value:.3f}"


def require_free(files: Mapping[Path, str]) -> None:
    """Raise OccupiedError if one of these paths exists with content that differs from the text to be written there."""
    for path, text in files.items():
        if path.exists() and not (path.is_file() and path.read_bytes() == text.encode()):
            raise OccupiedError(f"{path} already has other content: give another path, or move it away.")
