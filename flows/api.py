"""rsvlm from Python: run experiments and sweeps, and read their results as tables.

    from flows.api import run
    r = run("demo", **{"training.lora_r": 16})
    r.scores

Importing this module prepares Prefect: without a server it starts an embedded one, and it sends no usage data.
"""

import difflib
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from deployments.configuration import default_name, load_config, name_after
from deployments.sweeps import load_sweep, name_of_sweep
from flows.embedded import check_server, prepare_prefect, start_prefect
from tasks.errors import ConfigError
from tasks.evaluation.report_pages import find_report
from tasks.paths import SWEEP_LOG, Workspace
from tasks.runs.results import EvaluationResult, ReportPage, RunResult
from tasks.settings import ExperimentConfig
from tasks.storage.runs import require_run_name
from tasks.sweeping.results import SweepResult, sweep_folder

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = [
    "EvaluationResult",
    "ReportPage",
    "RunResult",
    "SweepResult",
    "compare",
    "evaluate",
    "list_runs",
    "load_config",
    "load_run",
    "run",
    "sweep",
]

WORKSPACE = Path("workspace")
# here, so that it is done before the user's own module imports Prefect
prepare_prefect()


class OtherFiles(TypedDict, total=False):
    """What `evaluate` may be given besides the answers; tasks.evaluation.evaluate_answers explains each."""

    train: Path
    images: Path
    base: Path
    audit: Path
    checkpoints: tuple[Path, ...]
    robustness: tuple[Path, ...]
    unnamed: str
    partial: bool


def run(
    experiment: str | Path | ExperimentConfig,
    *,
    name: str = "",
    workspace: str | Path = WORKSPACE,
    verbose: bool = False,
    **settings: object,
) -> RunResult:
    """Run a complete experiment and return its results; finished steps are not repeated.

    Args:
        experiment: A preset's name, a YAML file or a configuration.
        name: The run's name; empty: the preset's, with a digest of the settings if any are given.
        workspace: Folder of all runs.
        verbose: Show Prefect's log; otherwise one line says what the run is doing.
        settings: Settings to change, `**{"training.lora_r": 16}` or `training={"lora_r": 16}`.
    """
    config = experiment if isinstance(experiment, ExperimentConfig) else load_config(str(experiment))
    config = config.with_(**settings)
    name = name or _default_name(experiment, config)
    # before its log is created
    require_run_name(name)
    check_server()
    folder = Workspace(Path(workspace).absolute()).run(name)
    with ExitStack() as stack:
        if not verbose:
            from flows.quiet import quiet_prefect
            from flows.terminal.one_line import on_one_line

            stack.enter_context(quiet_prefect(folder.log))
            stack.enter_context(on_one_line(name))
        start_prefect("flows.experiment", is_command=False)
        from flows.experiment import experiment_flow

        experiment_flow(config, name, Path(workspace))
    return RunResult(folder.root)


def sweep(file: str | Path, *, name: str = "", workspace: str | Path = WORKSPACE, verbose: bool = False) -> SweepResult:
    """Run the sweep of a YAML file (docs/sweeps.md), or continue it, and return its leaderboard.

    Args:
        file: Preset and search.
        name: The sweep's name; empty: the file's.
        workspace: Folder of all runs.
        verbose: Show Prefect's log; otherwise the leaderboard while the sweep runs.
    """
    config, search = load_sweep(Path(file))
    name = name or name_of_sweep(Path(file))
    folder = sweep_folder(Path(workspace), name)
    # before its log is created
    check_server()
    with ExitStack() as stack:
        if not verbose:
            from rich.console import Console

            from flows.quiet import quiet_prefect
            from flows.terminal.leaderboard import watching

            stack.enter_context(quiet_prefect(folder / SWEEP_LOG))
            stack.enter_context(watching(folder, Console(stderr=True)))
        start_prefect("flows.run_sweep", is_command=False)
        from flows.run_sweep import run_sweep_flow

        return run_sweep_flow(config, search, name, Path(workspace))


def load_run(name: str | Path, workspace: str | Path = WORKSPACE) -> RunResult:
    """The results of a run, by its name or folder; raises ConfigError if there is no such run."""
    folders = Workspace(Path(workspace)).runs
    for folder in (folders / name, Path(name)):
        if RunResult(folder).paths.experiment.is_file():
            return RunResult(folder)
    known = [path.name for path in sorted(folders.glob("*"))]
    close = difflib.get_close_matches(str(name), known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "list_runs shows the runs of a workspace."
    raise ConfigError(f"There is no run {name} in {folders}: {hint}")


def list_runs(workspace: str | Path = WORKSPACE) -> "DataFrame":
    """All runs of a workspace or of a store's folder, the last started first, with their scores."""
    from tasks.runs.index import list_runs as read_runs
    from tasks.runs.tables import runs_table

    return runs_table(read_runs(Path(workspace)))


def evaluate(
    data: str | Path,
    predictions: str | Path,
    out: str | Path,
    *,
    only_clean: bool = False,
    **others: Unpack[OtherFiles],
) -> EvaluationResult:
    """Score the answers to a test set, of rsvlm or of another program, and write a report, as `rsvlm evaluate` does.

    Args:
        data: The test set.
        predictions: The answers.
        out: Folder of the report.
        only_clean: Score only the images that the audit found clean.
        others: Training set, images, the base model's answers, audit and so on.
    """
    from tasks.evaluation.evaluate_answers import EvaluationFiles
    from tasks.evaluation.evaluate_answers import evaluate as write_report
    from tasks.settings import EvaluationConfig

    files = EvaluationFiles(Path(data), Path(predictions), **others)
    return EvaluationResult(write_report(files, Path(out), EvaluationConfig(only_clean=only_clean)).path)


def compare(*models: RunResult | EvaluationResult | str | Path, workspace: str | Path = WORKSPACE) -> "DataFrame":
    """Compare two or more models on one test set, image by image: is each better or worse than the first, or a tie?

    `models` are runs (for their final models), evaluations, or what `rsvlm compare` takes: RUN, RUN/MODEL or a folder
    with a report. Raises UserError if their test sets or protocols differ.
    """
    from tasks.evaluation.comparison import compare_several
    from tasks.runs.tables import comparison_table

    if len(models) < 2:
        raise ConfigError("A comparison needs two models: compare(load_run('a'), load_run('b')).")
    given = [_named(each, Path(workspace)) if isinstance(each, str | Path) else each for each in models]
    labels = [each.name if isinstance(each, RunResult) else each.model for each in given]
    folders = [(each.model() if isinstance(each, RunResult) else each).folder for each in given]
    return comparison_table(compare_several(folders[0], folders[1:], None)["comparisons"], labels[1:])


def _named(model: str | Path, workspace: Path) -> EvaluationResult:
    return EvaluationResult(find_report(Path(model), workspace), str(model))


def _default_name(experiment: str | Path | ExperimentConfig, config: ExperimentConfig) -> str:
    if isinstance(experiment, ExperimentConfig):
        return name_after("experiment", config.as_plain(), None)
    return default_name(str(experiment), config)
