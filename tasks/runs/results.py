"""The results of a run and of an evaluation, for programs and notebooks: tables, metrics and the report's page."""

import html
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import DataError
from tasks.evaluation.data_frames import table_of
from tasks.evaluation.report_folder import read_metrics
from tasks.evaluation.scores import Metrics
from tasks.files import iterate_json_lines
from tasks.paths import BASE, FINAL, PER_ANSWER, REPORT_PAGE, SCORES, RunFolder
from tasks.runs.index import State, report_names, state_of
from tasks.runs.scores import RunScore, changes_from_base, scores_of
from tasks.runs.tables import scores_table
from tasks.settings import ExperimentConfig
from tasks.storage.runs import read_experiment

if TYPE_CHECKING:
    from pandas import DataFrame

HEIGHT_PX = 720


class ReportPage:
    """A report's page; the last value of a notebook's cell shows it there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> bool:
        """Open the page in a browser; False if there is none."""
        import webbrowser

        return webbrowser.open(self.path.absolute().as_uri())

    def _repr_html_(self) -> str:
        # in a frame, so that its styles and scripts do not reach the notebook
        page = html.escape(self.path.read_text(encoding="utf-8"))
        style = f"width:100%;height:{HEIGHT_PX}px;border:1px solid #8884"
        return f'<iframe sandbox="allow-scripts" style="{style}" srcdoc="{page}"></iframe>'

    def __repr__(self) -> str:
        return f"ReportPage({str(self.path)!r})"


class EvaluationResult:
    """The scores of one model's answers, read from the folder of a report when they are needed."""

    def __init__(self, folder: Path, model: str = "", scores: dict[str, RunScore] | None = None) -> None:
        """`model` names it in tables; `scores` are those of its run, which know the base model's."""
        self.folder, self.model = folder, model or folder.name
        self._scores = scores

    @cached_property
    def metrics(self) -> Metrics:
        """metrics.json: all scores with intervals, controls and the protocol; raises DataError without a report."""
        return read_metrics(self.folder)

    @property
    def scores(self) -> "DataFrame":
        """One row per source: headline score, interval, and the best image-blind baseline."""
        return scores_table(self._scores or scores_of(self.metrics))

    @property
    def all_scores(self) -> "DataFrame":
        """One row per number: source, type of question, metric, value and interval."""
        return table_of(self.rows(SCORES))

    @property
    def answers(self) -> "DataFrame":
        """One row per answer: question, answer, references, and whether it is right or how it was scored."""
        return table_of(self.rows(PER_ANSWER))

    def report(self) -> ReportPage:
        """The report's page."""
        return ReportPage(self.folder / REPORT_PAGE)

    def rows(self, name: str) -> Iterator[dict[str, object]]:
        """The rows of a table of the report, scores.jsonl or per_answer.jsonl, the model first.

        Raises DataError for a folder without a report, and for one that lacks this table.
        """
        read_metrics(self.folder)
        if not (self.folder / name).is_file():
            raise DataError(f"{self.folder} lacks {name}: evaluate the answers again.")
        model = {"model": self.model}
        return (model | row | model for row in iterate_json_lines(self.folder / name))

    def _repr_html_(self) -> str:
        return str(self.scores.to_html())

    def __repr__(self) -> str:
        return f"EvaluationResult({str(self.folder)!r})"


class RunResult:
    """One run: its configuration, files and results, read when they are needed."""

    def __init__(self, folder: Path) -> None:
        self.paths = RunFolder(folder.absolute())

    @property
    def name(self) -> str:
        """The run's name."""
        return self.paths.root.name

    @property
    def folder(self) -> Path:
        """The run's folder; `paths` has the files and folders in it."""
        return self.paths.root

    @property
    def state(self) -> State:
        """complete, running, failed or interrupted."""
        return state_of(self.paths)

    @cached_property
    def config(self) -> ExperimentConfig:
        """The configuration, from experiment.yaml."""
        return read_experiment(self.paths)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that have a report: base, final, then checkpoints."""
        return report_names(self.paths)

    def model(self, name: str = FINAL) -> EvaluationResult:
        """The results of one model: final, base or checkpoint-N; raises DataError if it has no report."""
        if name not in self.models:
            there = f"the reports are of {', '.join(self.models)}" if self.models else "there is none yet"
            raise DataError(
                f"The run {self.name} has no report of {name}: {there}. Start the run again to complete it."
            )
        folder = self.paths.report(name)
        changes = changes_from_base(self.paths) if name == FINAL else {}
        return EvaluationResult(folder, name, scores_of(read_metrics(folder), changes))

    @property
    def metrics(self) -> Metrics:
        """metrics.json of the final model."""
        return self.model().metrics

    @property
    def scores(self) -> "DataFrame":
        """One row per source: the final model's score and interval, the base model's and the best image-blind one."""
        return self.model().scores

    @property
    def all_scores(self) -> "DataFrame":
        """One row per number of the base model's and the final model's metrics.json; `model` tells them apart."""
        return table_of(row for each in self._compared() for row in each.rows(SCORES))

    @property
    def answers(self) -> "DataFrame":
        """One row per answer of the base and of the final model; `model` tells them apart."""
        return table_of(row for each in self._compared() for row in each.rows(PER_ANSWER))

    def report(self, model: str = FINAL) -> ReportPage:
        """The page of the report on the final model, or on another one."""
        return self.model(model).report()

    def _compared(self) -> list[EvaluationResult]:
        final = self.model()
        return [self.model(BASE), final] if BASE in self.models else [final]

    def _repr_html_(self) -> str:
        if FINAL not in self.models:
            return f"<code>{html.escape(repr(self))}</code>"
        return f"<b>{html.escape(self.name)}</b>{self.scores.to_html()}"

    def __repr__(self) -> str:
        return f"RunResult({self.name!r}, {self.state}, {str(self.folder)!r})"
