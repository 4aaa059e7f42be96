"""A training that diverges ends without saving, and unlogged losses survive a resume."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.errors import TrainingError, UserError
from tasks.files import read_json
from tasks.training.arguments import training_arguments
from tasks.training.job import TrainingJob
from tasks.training.launch import train
from tasks.training.loss_guard import NOT_FINITE_LINES, ZERO_LINES, LossGuard
from tasks.training.trainer import ConversationTrainer
from tasks.training.worker import build_trainer, work
from tasks.worker_lines import (
    step_progress,
)


def guarded(losses: list[float]) -> tuple[LossGuard, SimpleNamespace]:
    guard, control = LossGuard(), SimpleNamespace(should_save=True)
    for step, loss in enumerate(losses, start=1):
        control.should_save = True
        guard.on_log(None, SimpleNamespace(global_step=step), control, {"loss": loss})
    return guard, control


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_nan_or_infinite_loss_ends_the_training_and_saves_nothing_more(lost: float) -> None:
    assert guarded([1.0, lost])[1].should_save is False
    with pytest.raises(TrainingError, match=r"since step 2, now at step 4: .* lower learning_rate"):
        guarded([1.0, *[lost] * NOT_FINITE_LINES])


def test_loss_of_exactly_0_ends_the_training_only_after_many_lines() -> None:
    guarded([0.0] * (ZERO_LINES - 1))
    with pytest.raises(TrainingError, match=r"has been 0 since step 1, .* `rsvlm inspect`"):
        guarded([0.0] * ZERO_LINES)


def test_single_bad_loss_does_not_end_the_training() -> None:
    assert guarded([1.0, math.inf, 0.9, 0.0, 0.8, math.nan, 0.7] * 5)[1].should_save is True


@pytest.mark.slow
def test_diverging_training_ends_with_advice(job_for: Callable[..., TrainingJob], tmp_path: Path) -> None:
    settings = {"learning_rate": 1.0, "lora_alpha": 1e12, "max_steps": 40, "save_steps": 2, "save_total_limit": 1}
    lines: list[str] = []
    with pytest.raises(UserError, match=r"The loss has been NaN since step \d+, .* lower learning_rate"):
        train(job_for(tmp_path / "training", **settings), lines.append)
    last = [step_progress(line).step for line in lines if step_progress(line)][-1]
    assert last < 10
    for checkpoint in (tmp_path / "training").glob("checkpoint-*"):
        losses = [
            entry["loss"] for entry in read_json(checkpoint / "trainer_state.json", allow_nan=True)["log_history"]
        ]
        assert all(math.isfinite(loss) for loss in losses)


def losses(trainer: ConversationTrainer) -> dict[int, float]:
    return {entry["step"]: entry["loss"] for entry in trainer.state.log_history if "loss" in entry}


def test_first_log_after_a_resume_is_the_mean_over_all_its_steps(
    job_for: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    job = job_for(tmp_path, max_steps=6, logging_steps=3, save_steps=4)
    arguments = training_arguments(job)
    whole = build_trainer(job, arguments)
    whole.train()
    resumed = build_trainer(job, arguments)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert losses(resumed) == pytest.approx(losses(whole), abs=1e-6)
    assert set(losses(whole)) == {3, 6}


@pytest.mark.parametrize(
    ("steps", "every", "logged"),
    [(1, 10, {1}), (5, 10, {5}), (5, 2, {2, 4, 5}), (4, 2, {2, 4}), (5, 5, {5}), (3, 1, {1, 2, 3})],
)
def test_last_step_is_logged_with_the_mean_since_the_previous_log(
    job_for: Callable[..., TrainingJob], tmp_path: Path, steps: int, every: int, logged: set[int]
) -> None:
    settings = {"max_steps": steps, "save_strategy": "no"}
    each, some = (
        build_trainer(job, training_arguments(job))
        for job in (job_for(tmp_path / "each", **settings), job_for(tmp_path, logging_steps=every, **settings))
    )
    each.train()
    some.train()
    assert set(losses(some)) == logged
    since = max([step for step in logged if step < steps], default=0)
    known = losses(each)
    assert losses(some)[steps] == pytest.approx(sum(known[step + 1] for step in range(since, steps)) / (steps - since))


@pytest.mark.parametrize(
    "steps", [{"max_steps": -1, "num_train_epochs": 0.3}, {"max_steps": -1, "num_train_epochs": 1.5}]
)
def test_last_step_of_a_partial_epoch_is_logged(
    job_for: Callable[..., TrainingJob], tmp_path: Path, steps: dict[str, float]
) -> None:
    job = job_for(tmp_path, logging_steps=50, save_strategy="no", **steps)
    trainer = build_trainer(job, training_arguments(job))
    trainer.train()
    assert set(losses(trainer)) == {trainer.state.max_steps}


# the first step of a warm-up has rate 0: if it were the only one, merging would refuse the adapter
@pytest.mark.parametrize("ratio", [0.03, 1.0])
def test_training_of_one_step_changes_the_weights(
    job_for: Callable[..., TrainingJob], tmp_path: Path, ratio: float
) -> None:
    job = job_for(tmp_path, max_steps=1, warmup_ratio=ratio, save_strategy="no")
    trainer = build_trainer(job, training_arguments(job))
    trainer.train()
    assert trainer.state.log_history[0]["learning_rate"] == job.training.learning_rate
    assert all(value.any() for name, value in trainer.model.named_parameters() if "lora_B" in name)


# the loss is NaN long before the next log line: its checkpoints would replace the good one
def test_nan_weights_are_not_saved_between_two_log_lines(job_for: Callable[..., TrainingJob], tmp_path: Path) -> None:
    lost = {"learning_rate": 1.0, "lora_alpha": 1e12, "max_steps": 40, "logging_steps": 30}
    job = job_for(tmp_path, save_steps=2, save_total_limit=1, **lost)
    with pytest.raises(TrainingError, match=r"has been NaN since step 3, now at step 4: the weights are lost"):
        work(job.model_dump(mode="json"))
    assert [path.name for path in job.out.glob("*")] == ["checkpoint-2"]


# fewer log lines than the guard needs
@pytest.mark.parametrize("logging_steps", [1, 5, 50])
def test_training_that_ends_with_nan_leaves_no_final_model(
    job_for: Callable[..., TrainingJob], tmp_path: Path, logging_steps: int
) -> None:
    lost = {"learning_rate": 1.0, "lora_alpha": 1e12, "max_steps": 4, "save_steps": 50}
    job = job_for(tmp_path, logging_steps=logging_steps, **lost)
    with pytest.raises(TrainingError, match=r"has been NaN since step \d, now at step 4"):
        work(job.model_dump(mode="json"))
    assert not (job.out / "final").exists()
