"""What is logged: the last step always, and after a resume all that was not logged before it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.errors import TrainingError
from tasks.training.arguments import training_arguments
from tasks.training.job import TrainingOrder
from tasks.training.trainer import LlavaTrainer
from tasks.training.worker import build_trainer, work


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


@pytest.mark.parametrize(
    ("steps", "every", "logged"),
    [(1, 10, {1}), (5, 10, {5}), (5, 2, {2, 4, 5}), (4, 2, {2, 4}), (5, 5, {5}), (3, 1, {1, 2, 3})],
)
def test_the_last_step_is_logged_with_the_mean_since_the_line_before(
    order_for: Callable[..., TrainingOrder], tmp_path: Path, steps: int, every: int, logged: set[int]
) -> None:
    settings = {"max_steps": steps, "save_strategy": "no"}
    each, some = (
        build_trainer(order, training_arguments(order))
        for order in (order_for(tmp_path / "each", **settings), order_for(tmp_path, logging_steps=every, **settings))
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
def test_the_end_of_a_part_of_an_epoch_is_a_last_step_too(
    order_for: Callable[..., TrainingOrder], tmp_path: Path, steps: dict[str, float]
) -> None:
    order = order_for(tmp_path, logging_steps=50, save_strategy="no", **steps)
    trainer = build_trainer(order, training_arguments(order))
    trainer.train()
    assert set(losses(trainer)) == {trainer.state.max_steps}


# the first step of a warm-up is at rate 0: were it the only one, merging would refuse the adapter
@pytest.mark.parametrize("ratio", [0.03, 1.0])
def test_a_training_of_one_step_trains(order_for: Callable[..., TrainingOrder], tmp_path: Path, ratio: float) -> None:
    order = order_for(tmp_path, max_steps=1, warmup_ratio=ratio, save_strategy="no")
    trainer = build_trainer(order, training_arguments(order))
    trainer.train()
    assert trainer.state.log_history[0]["learning_rate"] == order.training.learning_rate
    assert all(value.any() for name, value in trainer.model.named_parameters() if "lora_B" in name)


# long before a log line tells it, the loss is no number: its checkpoints would take the place of the sound one
def test_lost_weights_are_not_saved_between_two_log_lines(
    order_for: Callable[..., TrainingOrder], tmp_path: Path
) -> None:
    lost = {"learning_rate": 1.0, "lora_alpha": 1e12, "max_steps": 40, "logging_steps": 30}
    order = order_for(tmp_path, save_steps=2, save_total_limit=1, **lost)
    with pytest.raises(TrainingError, match=r"has been not a number since step 3, now at step 4: the weights are lost"):
        work(order.model_dump(mode="json"))
    assert [path.name for path in order.out.glob("*")] == ["checkpoint-2"]


# fewer lines than the guard waits for
@pytest.mark.parametrize("logging_steps", [1, 5, 50])
def test_a_training_that_ends_with_lost_weights_leaves_no_final_model(
    order_for: Callable[..., TrainingOrder], tmp_path: Path, logging_steps: int
) -> None:
    lost = {"learning_rate": 1.0, "lora_alpha": 1e12, "max_steps": 4, "save_steps": 50}
    order = order_for(tmp_path, logging_steps=logging_steps, **lost)
    with pytest.raises(TrainingError, match=r"has been not a number since step \d, now at step 4"):
        work(order.model_dump(mode="json"))
    assert not (order.out / "final").exists()
