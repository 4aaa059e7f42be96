"""Steps that were logged after a resume count all that was not logged before it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.training.arguments import training_arguments
from tasks.training.loop import LlavaTrainer
from tasks.training.order import TrainingOrder
from tasks.training.worker import build_trainer


def losses(trainer: LlavaTrainer) -> dict[int, float]:
    return {entry["step"]: entry["loss"] for entry in trainer.state.log_history if "loss" in entry}


def test_a_line_after_a_resume_is_the_mean_over_all_its_steps(
    order_for: Callable[..., TrainingOrder], tmp_path: Path
) -> None:
    order = order_for(tmp_path, max_steps=6, logging_steps=3, save_steps=4)
    arguments = training_arguments(order)
    whole = build_trainer(order, arguments)
    whole.train()
    resumed = build_trainer(order, arguments)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert losses(resumed) == pytest.approx(losses(whole), abs=1e-6)
    assert set(losses(whole)) == {3, 6}
