"""A training that does worse than the others is ended early, by the validation losses that it logs."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from tasks.paths import RunFolder
from tasks.training.preemption import ask_to_stop
from tasks.worker_lines import validation_losses

if TYPE_CHECKING:
    from optuna.trial import Trial

LOOK_AGAIN_S = 0.5


class Pruner:
    """Reads a run's log from where it is now, and asks its training to stop once the losses say so."""

    def __init__(self, trial: "Trial", folder: RunFolder) -> None:
        self._trial, self._log = trial, folder.log
        self._training = folder.training
        self._read = self._log.stat().st_size if self._log.exists() else 0
        self.pruned = False

    def look(self) -> None:
        """Read what is new in the log."""
        for step, loss in self._new_losses():
            if self.pruned:
                return
            # the study's direction is upwards
            self._trial.report(-loss, step)
            if self._trial.should_prune():
                self.pruned = ask_to_stop(self._training)

    def _new_losses(self) -> list[tuple[int, float]]:
        if not self._log.exists():
            return []
        with self._log.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        # a line that is being written is read when it is whole
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        return validation_losses(whole.decode("utf-8", "replace"))


@contextmanager
def pruning(trial: "Trial", folder: RunFolder, wanted: bool) -> Iterator[Pruner]:
    """Follow a training beside the block that runs it, where that is `wanted`."""
    pruner, ended = Pruner(trial, folder), Event()
    follower = Thread(target=_follow, args=(pruner, ended), daemon=True)
    if wanted:
        follower.start()
    try:
        yield pruner
    finally:
        ended.set()
        if wanted:
            follower.join()


def _follow(pruner: Pruner, ended: Event) -> None:
    while not ended.wait(LOOK_AGAIN_S):
        pruner.look()
