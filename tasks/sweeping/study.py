"""The points of a sweep in a journal: what was tried is not tried again, and what a kill broke off goes on.

Optuna keeps the journal and draws the points. A point's draw depends on the seed, its number and the points before
it alone, so that a sweep that was killed chooses what it would have chosen without.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import ConfigError, UserError
from tasks.json_text import parse_json
from tasks.sweeping.config import Range, SweepConfig
from tasks.sweeping.search_space import grid_of, is_whole_number

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

JOURNAL, LOCK = "journal.jsonl", ".lock"
# the median of fewer says little
TRAINED_BEFORE_PRUNING = 4
RUN, REASON = "run", "reason"


class Points:
    """The points of one sweep, in the order in which they are tried."""

    def __init__(self, study: "Study", sweep: SweepConfig) -> None:
        self.study, self._sweep = study, sweep
        self._grid = grid_of(sweep) if sweep.sampler == "grid" else None

    @property
    def wanted(self) -> int:
        """How many points there are to be."""
        return self._sweep.points if self._grid is None else min(self._sweep.points, len(self._grid))

    def next(self) -> "Trial | None":
        """The point that was broken off, or else a new one; None when all have been tried."""
        from optuna.trial import Trial, TrialState

        trials = self.study.get_trials(deepcopy=False)
        broken_off = [trial for trial in trials if trial.state == TrialState.RUNNING]
        if broken_off:
            self.study.sampler = self._sampler(broken_off[0].number)
            return Trial(self.study, broken_off[0]._trial_id)
        number = sum(trial.state.is_finished() for trial in trials)
        if number >= self.wanted:
            return None
        self.study.sampler = self._sampler(number)
        if self._grid is not None and len(trials) == number:
            self.study.enqueue_trial(self._grid[number])
        return self.study.ask()

    def values_of(self, trial: "Trial") -> dict[str, Any]:
        """The values of a point by dotted path, drawn where they are not yet."""
        return {path: _suggested(trial, path, values) for path, values in self._sweep.search.items()}

    def name(self, trial: "Trial", run: str) -> None:
        """Note which run a point is."""
        trial.set_user_attr(RUN, run)

    def score(self, trial: "Trial", value: float) -> None:
        """Note a point's score on the validation set."""
        self.study.tell(trial.number, value)

    def prune(self, trial: "Trial") -> None:
        """Note that a point's training was ended early."""
        from optuna.trial import TrialState

        self.study.tell(trial.number, state=TrialState.PRUNED)

    def fail(self, trial: "Trial", reason: str) -> None:
        """Note why a point has no score."""
        from optuna.trial import TrialState

        trial.set_user_attr(REASON, reason)
        self.study.tell(trial.number, state=TrialState.FAIL)

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


def _suggested(trial: "Trial", path: str, values: Any) -> Any:
    if not isinstance(values, Range):
        return trial.suggest_categorical(path, values)
    if is_whole_number(path):
        return trial.suggest_int(path, round(values.low), round(values.high), log=values.log)
    return trial.suggest_float(path, values.low, values.high, log=values.log)


@contextmanager
def open_points(folder: Path, sweep: SweepConfig) -> Iterator[Points]:
    """Open the journal of a sweep, alone; raises UserError where another process is at work on it."""
    optuna = _optuna()
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        _cut_torn_line(folder / JOURNAL)
        backend = optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))
        # a lock of the journal itself that a kill left: we are alone
        (folder / f"{JOURNAL}.lock").unlink(missing_ok=True)
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend),
            study_name=folder.name,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=TRAINED_BEFORE_PRUNING),
            load_if_exists=True,
        )
        yield Points(study, sweep)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ConfigError("Sweeps need Optuna: `pip install 'rsvlm[sweep]'`.") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UserError(
            f"Another process is at work on the sweep in {folder}: wait for it, or take another name."
        ) from None
    finally:
        os.close(handle)


def _cut_torn_line(journal: Path) -> None:
    """Cut off a last line that a kill left unfinished: what is written next would be read as its rest.

    Raises UserError for any other line that is damaged.
    """
    if not journal.exists():
        return
    content = journal.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        with journal.open("r+b") as file:
            file.truncate(len(whole))
    for number, line in enumerate(whole.split(b"\n")[:-1], 1):
        if not isinstance(parse_json(line, f"{journal}, line {number}", allow_nan=True), dict):
            raise UserError(f"{journal}, line {number} is damaged: take another name, or move that folder away.")
