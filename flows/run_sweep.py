"""Flow run-sweep: search space -> one run per point -> leaderboard -> the best point evaluated on the test set."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from prefect import get_run_logger

from flows.decorators import flow, name_of_run, run_title
from flows.experiment import experiment_flow
from flows.sweep_point import sweep_point_flow
from tasks.errors import RunStopped, TrainingStopped, UserError
from tasks.paths import BEST_PRESET, FINAL, Workspace
from tasks.settings import ExperimentConfig
from tasks.storage.owner import RunOwned
from tasks.sweeping.config import SweepConfig
from tasks.sweeping.leaderboard import LeaderboardRow, claim_reference, read_reference, score_of
from tasks.sweeping.progress import write_progress
from tasks.sweeping.pruning import pruning
from tasks.sweeping.results import (
    SweepResult,
    claim_folder,
    remove_spare_models,
    sweep_folder,
    write_leaderboard,
    write_results,
)
from tasks.sweeping.search_space import at_point, describe_point, name_of_point, require_searchable
from tasks.sweeping.steps import show_leaderboard
from tasks.sweeping.study import Points, open_points

if TYPE_CHECKING:
    from optuna.trial import Trial


@flow(name="run-sweep", flow_run_name=run_title("{name}"))
def run_sweep_flow(
    config: ExperimentConfig, sweep: SweepConfig, name: str = "", workspace: Path = Path("workspace")
) -> SweepResult:
    """Run the points of a search one after another; the best on the validation set is evaluated on the test set.

    If killed and started again, it continues with the interrupted point.

    Args:
        config: The experiment; the search changes some of its settings.
        sweep: The search space, the sampler and the objective.
        name: The sweep's name: its folder in WORKSPACE/sweeps and the prefix of its runs' names. Empty: the
            preset's name, with a digest appended if settings were changed.
        workspace: Folder shared by all runs.
    """
    require_searchable(config, sweep)
    name = name_of_run(name, config, sweep)
    folder = sweep_folder(workspace, name)
    with open_points(folder, sweep) as points:
        claim_folder(folder, config, sweep)
        rows = write_leaderboard(folder, points, sweep)
        while (trial := points.next()) is not None:
            _try_point(points, trial, _Sweep(config, sweep, name, workspace, rows))
            rows = write_leaderboard(folder, points, sweep)
            write_progress(points, sweep.objective, rows)
        rows = write_results(folder, points, sweep, config)
        write_progress(points, sweep.objective, rows, testing=rows[0].run)
        show_leaderboard(folder, rows)
        best = at_point(config, rows[0].settings)
        report = experiment_flow.with_options(persist_result=False)(best, rows[0].run, workspace).scores[FINAL]
        write_progress(points, sweep.objective, rows)
    return SweepResult(name=name, folder=folder, rows=rows, best=folder / BEST_PRESET, report=report)


class _Sweep(NamedTuple):
    config: ExperimentConfig
    settings: SweepConfig
    name: str
    workspace: Path
    # the leaderboard so far
    rows: list[LeaderboardRow]


def _try_point(points: Points, trial: "Trial", sweep: _Sweep) -> None:
    """Run a point and record its outcome; a user error in one point does not end the sweep."""
    values = points.values_of(trial)
    get_run_logger().info("Point %d of %d: %s", trial.number + 1, points.total, describe_point(values))
    try:
        score = _score(points, trial, at_point(sweep.config, values), sweep)
    except (RunStopped, RunOwned):
        # cancelled, or the run is in use: the point stays open, and the next start of the sweep continues with it
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
    """A point's score on the validation set; None if its training was pruned."""
    name = name_of_point(sweep.name, config)
    points.name(trial, name)
    write_progress(points, sweep.settings.objective, sweep.rows)
    folder = Workspace(sweep.workspace.absolute()).run(name)
    with pruning(trial, folder, sweep.settings.pruning) as pruner:
        try:
            report = sweep_point_flow(config, name, sweep.workspace)
        except TrainingStopped:
            if pruner.pruned:
                return None
            raise
    # a sweep with scores from before there was a reference keeps their scale
    if not points.scored():
        claim_reference(points.folder, report.path, sweep.settings.objective)
    return score_of(report.path, sweep.settings.objective, read_reference(points.folder))
