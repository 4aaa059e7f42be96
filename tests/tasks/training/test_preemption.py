"""A stop file belongs to one training: others in the same folder neither react to it nor remove it."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.interrupting import Interrupted
from tasks.training.callbacks import StopSignal
from tasks.training.job import TrainingJob
from tasks.training.preemption import ask_to_stop, stoppable


def test_stop_file_stops_only_its_own_training(job_for: Callable[..., TrainingJob], tmp_path: Path) -> None:
    ours, theirs = job_for(tmp_path), job_for(tmp_path)
    assert ours.fingerprint == theirs.fingerprint
    # as the parent passes it to its worker
    sign = StopSignal(TrainingJob.model_validate(ours.model_dump(mode="json")).stop_file)
    with stoppable(ours.stop_file) as request:
        request.first_step_done = True
        request.stop()
        assert sign.is_set() and not StopSignal(theirs.stop_file).is_set()
        with stoppable(theirs.stop_file):
            assert sign.is_set()
        assert sign.is_set()
    assert not sign.is_set() and not list(tmp_path.glob(".stop*"))


def test_another_thread_stops_only_the_training_in_its_folder(tmp_path: Path) -> None:
    assert not ask_to_stop(tmp_path)
    assert not list(tmp_path.iterdir())
    with stoppable(tmp_path / ".stop-1"):
        assert ask_to_stop(tmp_path)
        assert not ask_to_stop(tmp_path / "other")


@pytest.mark.parametrize("begun", [False, True])
def test_sigterm_before_the_first_step_saves_nothing(begun: bool, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stoppable(tmp_path / ".stop-1") as request:
        request.first_step_done = begun
        if begun:
            signal.raise_signal(signal.SIGTERM)
        else:
            with pytest.raises(Interrupted):
                signal.raise_signal(signal.SIGTERM)
        assert request.requested and request.file.exists() == begun
    assert signal.getsignal(signal.SIGTERM) == before
