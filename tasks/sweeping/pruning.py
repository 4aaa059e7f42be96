"""Stop trainings early whose validation loss is worse than that of the others, by reading their logs."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from tasks.paths import RunFolder
from tasks.training.preemption import ask_to_stop

if TYPE_CHECKING:
    from optuna.trial import Trial

POLL_S = 0.5
VALIDATED = re.compile(r"step (\d+): validation loss ([0-9.]+)")


class Pruner:
    """Reads the new lines of a run's log, and asks its training to stop when Optuna's pruner says so."""

    def __init__(self, trial: "Trial", folder: RunFolder) -> None:
        self._trial, self._log = trial, folder.log
        self._training = folder.training
        self._read = self._log.stat().st_size if self._log.exists() else 0
        self.pruned = False

    def poll(self) -> None:
        """Read the new lines of the log and report their losses."""
        for step, loss in self._new_losses():
            if self.pruned:
                return
            # negated: the study maximises
            self._trial.report(-loss, step)
            if self._trial.should_prune():
                self.pruned = ask_to_stop(self._training)

    def _new_losses(self) -> list[tuple[int, float]]:
        if not self._log.exists():
            return []
        with self._log.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        # without a last line that is still being written
        complete = new[: new.rfind(b"\n") + 1]
        self._read += len(complete)
        found = (VALIDATED.search(line) for line in complete.decode("utf-8", "replace").split("\n"))
        return [(int(match[1]), float(match[2])) for match in found if match]


@contextmanager
def pruning(trial: "Trial", folder: RunFolder, enabled: bool) -> Iterator[Pruner]:
    """Poll the log of the training that the block runs in a thread, if `enabled`."""
    pruner, ended = Pruner(trial, folder), Event()
    follower = Thread(target=_follow, args=(pruner, ended), daemon=True)
    if enabled:
        follower.start()
    try:
        yield pruner
    finally:
        ended.set()
        if enabled:
            follower.join()


def _follow(pruner: Pruner, ended: Event) -> None:
    while not ended.wait(POLL_S):
        pruner.poll()
