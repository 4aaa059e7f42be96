"""The points of a sweep in a journal: none is tried twice, and one that was interrupted is continued.

Optuna keeps the journal and samples the points. A point depends only on the seed, its number and the points before
it, so that a sweep that was killed samples the same points as one that was not.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tasks.errors import ConfigError, UserError
from tasks.json_text import parse_json
from tasks.sweeping.config import Choice, Range, SweepConfig
from tasks.sweeping.search_space import grid_of, is_integer

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

JOURNAL, LOCK = "journal.jsonl", ".lock"
# no point is pruned before so many have a loss: the median of fewer is too uncertain
TRAINED_BEFORE_PRUNING = 4
RUN, REASON = "run", "reason"


class Points:
    """The points of one sweep, in the order in which they are tried."""

    def __init__(self, study: "Study", sweep: SweepConfig, folder: Path) -> None:
        self.study, self._sweep, self.folder = study, sweep, folder
        self._grid = grid_of(sweep) if sweep.sampler == "grid" else None

    @property
    def total(self) -> int:
        """The number of points to try."""
        return self._sweep.points if self._grid is None else min(self._sweep.points, len(self._grid))

    def next(self) -> "Trial | None":
        """The point that was interrupted, else a new one; None when all have been tried."""
        from optuna.trial import Trial, TrialState

        trials = self.study.get_trials(deepcopy=False)
        interrupted = [trial for trial in trials if trial.state == TrialState.RUNNING]
        if interrupted:
            self.study.sampler = self._sampler(interrupted[0].number)
            return Trial(self.study, interrupted[0]._trial_id)
        number = sum(trial.state.is_finished() for trial in trials)
        if number >= self.total:
            return None
        self.study.sampler = self._sampler(number)
        if self._grid is not None and len(trials) == number:
            self.study.enqueue_trial(self._grid[number])
        return self.study.ask()

    def values_of(self, trial: "Trial") -> dict[str, Choice]:
        """The values of a point by dotted path, sampled if they have not been."""
        return {path: _suggested(trial, path, values) for path, values in self._sweep.search.items()}

    def name(self, trial: "Trial", run: str) -> None:
        """Record the run of a point."""
        trial.set_user_attr(RUN, run)

    def score(self, trial: "Trial", value: float) -> None:
        """Record a point's score on the validation set."""
        self.study.tell(trial.number, value)

    def prune(self, trial: "Trial") -> None:
        """Record that a point's training was stopped early."""
        from optuna.trial import TrialState

        self.study.tell(trial.number, state=TrialState.PRUNED)

    def fail(self, trial: "Trial", reason: str) -> None:
        """Record why a point has no score."""
        from optuna.trial import TrialState

        trial.set_user_attr(REASON, reason)
        self.study.tell(trial.number, state=TrialState.FAIL)

    def begun(self) -> "list[FrozenTrial]":
        """All points that were tried, and the one that is being tried."""
        from optuna.trial import TrialState

        return [trial for trial in self.study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]

    def finished(self) -> "list[FrozenTrial]":
        """All points that were tried."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.is_finished()]

    def scored(self) -> "list[FrozenTrial]":
        """The points that have a score."""
        from optuna.trial import TrialState

        return [trial for trial in self.finished() if trial.state == TrialState.COMPLETE]

    def _sampler(self, number: int) -> "BaseSampler":
        from optuna.samplers import RandomSampler, TPESampler

        seed = (self._sweep.seed + 7919 * number) % 2**32
        return TPESampler(seed=seed) if self._sweep.sampler == "tpe" else RandomSampler(seed=seed)


def _suggested(trial: "Trial", path: str, values: tuple[Choice, ...] | Range) -> Choice:
    if not isinstance(values, Range):
        return trial.suggest_categorical(path, values)
    if is_integer(path):
        return trial.suggest_int(path, round(values.low), round(values.high), log=values.log)
    return trial.suggest_float(path, values.low, values.high, log=values.log)


@contextmanager
def open_points(folder: Path, sweep: SweepConfig) -> Iterator[Points]:
    """Open the journal of a sweep exclusively; raises UserError if another process has it open."""
    optuna = require_optuna()
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        _cut_torn_line(folder / JOURNAL)
        backend = optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))
        # Optuna's own lock, left by a process that was killed: ours excludes any other
        (folder / f"{JOURNAL}.lock").unlink(missing_ok=True)
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend),
            study_name=folder.name,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=TRAINED_BEFORE_PRUNING),
            load_if_exists=True,
        )
        yield Points(study, sweep, folder)


def require_optuna() -> ModuleType:
    """The package optuna; raises ConfigError if it is not installed."""
    try:
        import optuna
    except ImportError:
        raise ConfigError("Sweeps need Optuna: `pip install 'rsvlm[sweep]'`.") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UserError(
            f"Another process is running the sweep in {folder}: wait for it, or choose another name."
        ) from None
    finally:
        os.close(handle)


def _cut_torn_line(journal: Path) -> None:
    """Cut off an unfinished last line, which a kill left and to which the next one would be appended.

    Raises UserError for any other damaged line.
    """
    if not journal.exists():
        return
    content = journal.read_bytes()
    complete = content[: content.rfind(b"\n") + 1]
    if complete != content:
        with journal.open("r+b") as file:
            file.truncate(len(complete))
    for number, line in enumerate(complete.split(b"\n")[:-1], 1):
        if not isinstance(parse_json(line, f"{journal}, line {number}", allow_nan=True), dict):
            raise UserError(f"{journal}, line {number} is damaged: choose another name, or move that folder away.")
