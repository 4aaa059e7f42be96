"""Flow run-sweep: settings searched -> a run for each point -> leaderboard -> the best, whole, on the test set."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from prefect import get_run_logger

from flows.cancelling import flow
from flows.experiment import experiment_flow
from flows.owning import name_of_run, run_title
from flows.sweep_point import sweep_point_flow
from tasks.errors import RunStopped, TrainingStopped, UserError
from tasks.paths import BEST_PRESET, FINAL, Workspace
from tasks.settings import ExperimentConfig
from tasks.storage.owner import RunOwned
from tasks.sweeping.config import SweepConfig
from tasks.sweeping.leaderboard import score_of
from tasks.sweeping.pruning import pruning
from tasks.sweeping.results import SweepResult, claim_folder, remove_spare_models, sweep_folder, write_results
from tasks.sweeping.search_space import at_point, describe_point, require_searchable, run_name
from tasks.sweeping.steps import show_leaderboard
from tasks.sweeping.study import Points, open_points

if TYPE_CHECKING:
    from optuna.trial import Trial


@flow(name="run-sweep", flow_run_name=run_title("run-sweep-{name}"))
def run_sweep_flow(
    config: ExperimentConfig, sweep: SweepConfig, name: str = "", workspace: Path = Path("workspace")
) -> SweepResult:
    """Try points of a search one after the other; the best by the validation set is run whole, with its test report.

    Started again after a kill it goes on with the point that was broken off.

    Args:
        config: The experiment; the search changes some of its settings.
        sweep: What is searched and how.
        name: The sweep's name: its folder in WORKSPACE/sweeps, and how the names of its runs begin; empty: the
            deployment's, with a digest where the settings are others than its own.
        workspace: The folder that all runs share.
    """
    require_searchable(config, sweep)
    name = name_of_run({"name": name, "config": config, "sweep": sweep})
    folder = sweep_folder(workspace, name)
    with open_points(folder, sweep) as points:
        claim_folder(folder, config, sweep)
        while (trial := points.next()) is not None:
            _try_point(points, trial, _Sweep(config, sweep, name, workspace))
        rows = write_results(folder, points, sweep, config)
    show_leaderboard(folder, rows)
    best = at_point(config, rows[0].settings)
    report = experiment_flow.with_options(persist_result=False)(best, rows[0].run, workspace).scores[FINAL]
    return SweepResult(name=name, folder=folder, rows=rows, best=folder / BEST_PRESET, report=report)


class _Sweep(NamedTuple):
    config: ExperimentConfig
    settings: SweepConfig
    name: str
    workspace: Path


def _try_point(points: Points, trial: "Trial", sweep: _Sweep) -> None:
    """Run a point and note what became of it; what a person can mend of one point does not end the sweep."""
    values = points.values_of(trial)
    get_run_logger().info("Point %d of %d: %s", trial.number + 1, points.total, describe_point(values))
    try:
        score = _score(points, trial, at_point(sweep.config, values), sweep)
    except (RunStopped, RunOwned):
        # somebody wants the machine or the run: the point stays open, and the same sweep again goes on with it
        raise
    except UserError as error:
        get_run_logger().warning("Point %d has no score: %s", trial.number + 1, error)
        points.fail(trial, str(error))
        return
    if score is None:
        points.prune(trial)
    else:
        points.score(trial, score)
    if not sweep.settings.keep_merged:
        for folder in remove_spare_models(points, Workspace(sweep.workspace.absolute())):
            get_run_logger().info("Removed %s, the merged model of a point that is not the best.", folder)


def _score(points: Points, trial: "Trial", config: ExperimentConfig, sweep: _Sweep) -> float | None:
    """A point's score on the validation set; None when its training was ended early."""
    name = run_name(sweep.name, config)
    points.name(trial, name)
    folder = Workspace(sweep.workspace.absolute()).run(name)
    with pruning(trial, folder, sweep.settings.pruning) as pruner:
        try:
            report = sweep_point_flow(config, name, sweep.workspace)
        except TrainingStopped:
            if pruner.pruned:
                return None
            raise
    return score_of(report.path, sweep.settings.objective)
