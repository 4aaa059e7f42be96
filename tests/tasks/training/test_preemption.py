"""A stop sign is one training's own: whoever else works in the folder neither sees nor removes it."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.interrupting import Interrupted
from tasks.training.job import TrainingOrder
from tasks.training.preemption import ask_to_stop, stoppable
from tasks.training.stopping import StopSign


def test_a_sign_stops_the_training_that_it_was_made_for_alone(
    order_for: Callable[..., TrainingOrder], tmp_path: Path
) -> None:
    ours, theirs = order_for(tmp_path), order_for(tmp_path)
    assert ours.fingerprint == theirs.fingerprint
    # as the parent hands it to its worker
    sign = StopSign(TrainingOrder.model_validate(ours.model_dump(mode="json")).stop_file)
    with stoppable(ours.stop_file) as request:
        request.begun = True
        request.stop()
        assert sign.is_up() and not StopSign(theirs.stop_file).is_up()
        with stoppable(theirs.stop_file):
            assert sign.is_up()
        assert sign.is_up()
    assert not sign.is_up() and not list(tmp_path.glob(".stop*"))


def test_another_thread_stops_the_training_of_its_process_and_no_other(tmp_path: Path) -> None:
    assert not ask_to_stop(tmp_path)
    assert not list(tmp_path.iterdir())
    with stoppable(tmp_path / ".stop-1"):
        assert ask_to_stop(tmp_path)
        assert not ask_to_stop(tmp_path / "other")


@pytest.mark.parametrize("begun", [False, True])
def test_sigterm_saves_only_what_there_is_to_save(begun: bool, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stoppable(tmp_path / ".stop-1") as request:
        request.begun = begun
        if begun:
            signal.raise_signal(signal.SIGTERM)
        else:
            with pytest.raises(Interrupted):
                signal.raise_signal(signal.SIGTERM)
        assert request.asked and request.file.exists() == begun
    assert signal.getsignal(signal.SIGTERM) == before
