"""Pruning of trainings whose validation loss is worse than that of the others."""

from pathlib import Path

from tasks.paths import RunFolder
from tasks.sweeping.config import SweepConfig
from tasks.sweeping.pruning import Pruner
from tasks.sweeping.study import open_points
from tasks.training.preemption import stoppable

SWEEP = SweepConfig.model_validate({"search": {"training.lora_r": [1, 2, 3, 4, 5, 6]}, "points": 6, "sampler": "grid"})


def train(sweep: Path, run: Path, loss: float) -> bool:
    """A training that logs a validation loss of this size at step 10; whether it was asked to stop."""
    folder = RunFolder(run)
    folder.training.mkdir(parents=True)
    folder.log.parent.mkdir(parents=True)
    folder.log.write_text("step 10: validation loss 99.0 (of an earlier training)\n")
    with open_points(sweep, SWEEP) as points:
        trial = points.next()
        assert trial
        points.values_of(trial)
        pruner = Pruner(trial, folder)
        with folder.log.open("a") as log:
            log.write(f"step 9/30: loss 1.0\nstep 10: validation loss {loss:.4f}\nstep 20: valid")
        with stoppable(folder.training / ".stop-this") as request:
            pruner.poll()
            assert request.file.exists() == pruner.pruned
        if pruner.pruned:
            points.prune(trial)
        else:
            points.score(trial, 1.0)
    return pruner.pruned


def test_only_a_loss_above_the_median_of_four_others_stops_a_training(tmp_path: Path) -> None:
    losses = [1.0, 2.0, 3.0, 4.0, 9.0, 2.1]
    stopped = [train(tmp_path / "sweep", tmp_path / f"run-{n}", loss) for n, loss in enumerate(losses)]
    assert stopped == [False, False, False, False, True, False]
