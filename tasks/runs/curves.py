"""The loss curves and the progress of a run, from its checkpoints or, while it trains, from its log."""

from functools import lru_cache
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from tasks.files import read_json_object, read_tail
from tasks.paths import BEST, CHECKPOINTS, FINAL, TRAINER_STATE, RunFolder, checkpoint_folders
from tasks.runs.index import MOST_CACHED
from tasks.training.loss_curve import Point, loss_points
from tasks.worker_lines import StepProgress, step_progress, validation_losses

# a line per step: some ten thousand steps
LOG_BYTES = 2_000_000


class LossCurves(NamedTuple):
    """(step, loss) of the training, and of its validations if there are any."""

    trained: list[Point]
    validated: list[Point]


def read_curves(paths: RunFolder) -> LossCurves:
    """The losses of a run; empty before its first step, and where files are damaged."""
    for checkpoint in _newest_checkpoints(paths):
        try:
            state = checkpoint / TRAINER_STATE
            found = _curves_in_state(state, state.stat().st_mtime_ns)
        except (OSError, KeyError, TypeError, ValueError):
            continue
        if found.trained:
            return found
    return _curves_in_log(paths.log)


@lru_cache(MOST_CACHED)
def _curves_in_state(state: Path, _mtime_ns: int) -> LossCurves:
    """The losses in a trainer state, read once while it is unchanged: of a long training it is large."""
    history = read_json_object(state).get("log_history") or ()
    return LossCurves(loss_points(history, "loss"), loss_points(history, "eval_loss"))


def _newest_checkpoints(paths: RunFolder) -> list[Path]:
    """Where the last trainer state of a run may be, in a workspace or in a store."""
    steps = sorted(chain(checkpoint_folders(paths.training), checkpoint_folders(paths.root / CHECKPOINTS)))
    return [paths.training / FINAL, *(folder for _, folder in reversed(steps)), paths.training / BEST]


def _curves_in_log(log: Path) -> LossCurves:
    text = _tail(log)
    trained: list[Point] = []
    for progress in filter(None, map(step_progress, text.splitlines())):
        if trained and progress.step <= trained[-1][0]:
            # another training: the toy base model is trained before the experiment's own
            trained.clear()
        trained.append((progress.step, float(progress.loss)))
    steps = trained[-1][0] if trained else 0
    return LossCurves(
        [point for point in trained if isfinite(point[1])],
        [point for point in validation_losses(text) if point[0] <= steps],
    )


def read_progress(paths: RunFolder) -> StepProgress | None:
    """The last step that a run's log reports; None before the first."""
    return next(filter(None, map(step_progress, reversed(_tail(paths.log).splitlines()))), None)


def _tail(log: Path) -> str:
    try:
        return read_tail(log, LOG_BYTES).decode(errors="replace")
    except OSError:
        return ""
