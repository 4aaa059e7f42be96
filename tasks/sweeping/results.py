"""The results of a sweep in its folder, leaderboard.json, leaderboard.html and best.yaml, and its merged models."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING
from uuid import uuid4

import yaml

from tasks.errors import ConfigError, UserError
from tasks.evaluation.data_frames import table_of
from tasks.files import digest_of, write_json, write_text
from tasks.paths import BEST_PRESET, FINAL, LEADERBOARD, LEADERBOARD_PAGE, SWEEP, Workspace
from tasks.records import ReportRef, Value
from tasks.settings import ExperimentConfig
from tasks.settings.experiment import without_store
from tasks.storage.runs import RUN_NAME
from tasks.sweeping.config import SweepConfig
from tasks.sweeping.leaderboard import LeaderboardRow, ScoredPoint, rank, read_reference
from tasks.sweeping.pages import render_sweep
from tasks.sweeping.search_space import at_point
from tasks.sweeping.study import REASON, RUN, Points
from tasks.yaml_text import read_yaml_file

if TYPE_CHECKING:
    from pandas import DataFrame

# settings that may change when a sweep is continued
NOT_OF_THE_SEARCH = ("points", "keep_merged")
# with fewer points, the importance of the settings cannot be estimated
FEWEST_FOR_IMPORTANCE = 4


class SweepResult(Value):
    """The result of a sweep: leaderboard, the best configuration as a preset, and its report on the test set."""

    name: str
    folder: Path
    rows: list[LeaderboardRow]
    best: Path
    report: ReportRef | None

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        return [("name", self.name), ("points", len(self.rows)), ("best", self.rows[0].run)]

    @property
    def leaderboard(self) -> "DataFrame":
        """One row per point, best first: settings, score of each source, score by the objective, verdict."""
        return table_of(
            {
                "run": row.run,
                **row.settings,
                **{source: found["value"] for source, found in row.sources.items()},
                "score": row.score,
                "verdict": row.verdict,
            }
            for row in self.rows
        ).set_index("run")


def sweep_folder(workspace: Path, name: str) -> Path:
    """The folder of a sweep: WORKSPACE/sweeps/NAME; raises ConfigError for a name that its runs could not have."""
    if not RUN_NAME.fullmatch(f"{name}-{'0' * 8}"):
        raise ConfigError(f"{name!r} cannot name a sweep: use letters, digits, dots, dashes and underscores.")
    return workspace.absolute() / "sweeps" / name


def claim_folder(folder: Path, config: ExperimentConfig, sweep: SweepConfig) -> None:
    """Write the sweep's settings; raises UserError if the folder has a sweep with others.

    The number of points may change.
    """
    require_same_search(folder, config, sweep)
    write_text(folder / SWEEP, yaml.safe_dump(_plain(config, sweep), sort_keys=False, allow_unicode=True))


def require_same_search(folder: Path, config: ExperimentConfig, sweep: SweepConfig) -> None:
    """Raise UserError if the folder has a sweep with other settings."""
    path, plain = folder / SWEEP, _plain(config, sweep)
    if path.exists():
        before = read_yaml_file(path)
        if not isinstance(before, dict) or _identity(before) != _identity(plain):
            raise UserError(
                f"{folder} holds a sweep with other settings: give this one another name, or move that folder away."
            )


def _plain(config: ExperimentConfig, sweep: SweepConfig) -> dict[str, object]:
    return {"config": config.as_plain(), **sweep.model_dump(mode="json")}


def _identity(plain: Mapping[str, object]) -> str:
    config = plain.get("config")
    if isinstance(config, dict):
        config = without_store(config)
    return digest_of({**plain, "config": config, **dict.fromkeys(NOT_OF_THE_SEARCH)})


def write_results(folder: Path, points: Points, sweep: SweepConfig, config: ExperimentConfig) -> list[LeaderboardRow]:
    """Rank the points and write the folder's files; raises UserError if no point has a score."""
    rows = write_leaderboard(folder, points, sweep)
    if not rows:
        reasons = [str(trial.user_attrs.get(REASON, "")) for trial in points.finished()]
        raise UserError(f"No point of the sweep {folder.name} has a score. {next(filter(None, reasons), '')}".strip())
    write_text(folder / BEST_PRESET, at_point(config, rows[0].settings).as_yaml())
    return rows


def write_leaderboard(folder: Path, points: Points, sweep: SweepConfig) -> list[LeaderboardRow]:
    """Rank the points that have a score so far and write the leaderboard; nothing is written if there is none."""
    from optuna.trial import TrialState

    finished, scored = points.finished(), points.scored()
    if not scored:
        return []
    workspace = Workspace(folder.parents[1])
    entries = [
        ScoredPoint(
            run=(run := trial.user_attrs[RUN]),
            settings={path: trial.params[path] for path in sweep.search},
            score=trial.value or 0.0,
            report=workspace.run(run).validation.report(FINAL),
        )
        for trial in scored
    ]
    found = rank(entries, sweep.objective, read_reference(folder))
    rows = found.rows
    pruned, failed = (sum(trial.state == state for trial in finished) for state in (TrialState.PRUNED, TrialState.FAIL))
    counts = {"objective": sweep.objective, "pruned": pruned, "fail": failed}
    write_json(folder / LEADERBOARD, {**counts, **found.model_dump(mode="json")})
    unscored = {"stopped early": pruned, "failed": failed, "still to be tried": max(0, points.total - len(finished))}
    write_text(folder / LEADERBOARD_PAGE, render_sweep(folder.name, found, unscored, importance_of(points, rows)))
    return rows


def importance_of(points: Points, rows: Sequence[LeaderboardRow]) -> dict[str, float]:
    """The share of each setting in the score (PED-ANOVA, Watanabe et al. 2023).

    Empty where there are too few points, or all have the same score.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    varied = [path for path in rows[0].settings if len({repr(row.settings[path]) for row in rows}) > 1]
    if len(rows) < FEWEST_FOR_IMPORTANCE or not varied or len({row.score for row in rows}) == 1:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(get_param_importances(points.study, evaluator=PedAnovaImportanceEvaluator(), params=varied))


def remove_spare_models(points: Points, workspace: Workspace) -> list[Path]:
    """Remove the merged models of all points but the best so far, and return their folders.

    Each is as large as its base, and can be merged again from its checkpoint in minutes. A run that has reports on the
    test set keeps its model: somebody ran it as an experiment.
    """
    scored = points.scored()
    best = max(scored, key=lambda trial: trial.value or 0.0, default=None)
    others = {trial.user_attrs[RUN] for trial in scored} - ({best.user_attrs[RUN]} if best else set())
    spare = map(workspace.run, sorted(others))
    return [run.merged for run in spare if run.merged.exists() and not run.reports.exists() and _remove(run.merged)]


def _remove(folder: Path) -> bool:
    # renamed first: the rest of an interrupted removal does not have the name of a model, and the next merge removes it
    aside = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.part")
    folder.rename(aside)
    rmtree(aside)
    return True
