"""What a sweep leaves in its folder: leaderboard.json, leaderboard.html and best.yaml."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tasks.errors import ConfigError, UserError
from tasks.files import digest_of, write_json, write_text
from tasks.records import ReportRef, Value
from tasks.settings import ExperimentConfig
from tasks.storage.runs import RUN_NAME
from tasks.sweeping.config import SweepConfig
from tasks.sweeping.leaderboard import Entry, Row, rank
from tasks.sweeping.pages import FEWEST_FOR_IMPORTANCE, render_sweep
from tasks.sweeping.search_space import at_point
from tasks.sweeping.study import RUN, Points
from tasks.yaml_text import read_yaml_file

DESCRIPTION, LEADERBOARD, PAGE, BEST_PRESET = "sweep.yaml", "leaderboard.json", "leaderboard.html", "best.yaml"
# what may change while a sweep goes on
NOT_OF_THE_SEARCH = ("points", "keep_merged")
# where a point's report on the validation set stands in its run
ANSWERS_ON_VALIDATION, REPORT_ON_VALIDATION = "validation/predictions/final", "validation/reports/final"


class SweepResult(Value):
    """What a sweep leaves: its leaderboard, the best configuration as a preset, and that one's report on the test."""

    name: str
    folder: Path
    rows: list[Row]
    best: Path
    report: ReportRef | None


def sweep_folder(workspace: Path, name: str) -> Path:
    """The folder of a sweep: WORKSPACE/sweeps/NAME; raises ConfigError for what cannot name its runs."""
    if not RUN_NAME.fullmatch(f"{name}-{'0' * 8}"):
        raise ConfigError(f"{name!r} cannot name a sweep: use letters, digits, dots, dashes and underscores.")
    return workspace.absolute() / "sweeps" / name


def claim_folder(folder: Path, config: ExperimentConfig, sweep: SweepConfig) -> None:
    """Write what the sweep is; raises UserError where another one of this name is. More points are the same sweep."""
    plain = {"config": config.as_plain(), **sweep.model_dump(mode="json")}
    place = folder / DESCRIPTION
    if place.exists():
        before = read_yaml_file(place)
        if not isinstance(before, dict) or _identity(before) != _identity(plain):
            raise UserError(
                f"{folder} holds a sweep of other settings: give this one another name, or move that folder away."
            )
    write_text(place, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def _identity(plain: dict[str, Any]) -> str:
    config = plain.get("config")
    if isinstance(config, dict):
        config = {name: value for name, value in config.items() if name not in ("archive", "store")}
    return digest_of({**plain, "config": config, **dict.fromkeys(NOT_OF_THE_SEARCH)})


def write_results(folder: Path, points: Points, sweep: SweepConfig, config: ExperimentConfig) -> list[Row]:
    """Rank the points and write the folder's files; raises UserError where no point has a score."""
    finished, scored = points.finished(), points.scored()
    if not scored:
        reasons = [str(trial.user_attrs.get("reason", "")) for trial in finished]
        raise UserError(f"No point of the sweep {folder.name} has a score. {next(filter(None, reasons), '')}".strip())
    runs = folder.parents[1] / "runs"
    entries = [
        Entry(
            run=(run := trial.user_attrs[RUN]),
            settings={path: trial.params[path] for path in sweep.search},
            score=trial.value or 0.0,
            report=runs / run / REPORT_ON_VALIDATION,
        )
        for trial in scored
    ]
    rows = rank(entries, sweep.objective)
    without = {state.name.lower(): sum(trial.state == state for trial in finished) for state in _unscored()}
    write_json(
        folder / LEADERBOARD,
        {"objective": sweep.objective, **without, "rows": [row.model_dump(mode="json") for row in rows]},
    )
    write_text(folder / PAGE, render_sweep(folder.name, rows, _named(without), importance_of(points, rows)))
    write_text(folder / BEST_PRESET, at_point(config, rows[0].settings).as_yaml())
    return rows


def _unscored() -> tuple[Any, ...]:
    from optuna.trial import TrialState

    return TrialState.PRUNED, TrialState.FAIL


def _named(without: dict[str, int]) -> dict[str, int]:
    return {"ended early": without["pruned"], "failed": without["fail"]}


def importance_of(points: Points, rows: Sequence[Row]) -> dict[str, float]:
    """How much of the score each setting decides (PED-ANOVA, Watanabe et al. 2023); empty where points
    are few or score the same."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    varied = [path for path in rows[0].settings if len({repr(row.settings[path]) for row in rows}) > 1]
    if len(rows) < FEWEST_FOR_IMPORTANCE or not varied or len({row.score for row in rows}) == 1:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(get_param_importances(points.study, evaluator=PedAnovaImportanceEvaluator(), params=varied))
