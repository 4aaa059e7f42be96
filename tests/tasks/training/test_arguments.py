"""What is set reaches transformers as it was set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.training.arguments import SAME_NAME, training_arguments
from tasks.training.job import TrainingOrder

OrderFor = Callable[..., TrainingOrder]
# none of them transformers' default
SETTINGS: dict[str, Any] = {
    **{"num_train_epochs": 2.5, "max_steps": 7, "per_device_train_batch_size": 3, "per_device_eval_batch_size": 5},
    **{"gradient_accumulation_steps": 6, "learning_rate": 3e-4, "weight_decay": 0.2, "lr_scheduler_type": "cosine"},
    **{"max_grad_norm": 0.7, "adam_beta2": 0.9, "evaluation_strategy": "steps", "eval_steps": 4, "save_steps": 9},
    **{"logging_steps": 2, "bf16": True, "dataloader_num_workers": 1, "seed": 77},
}


@pytest.mark.parametrize("name", SAME_NAME)
def test_a_setting_arrives_under_its_own_name(order_for: OrderFor, tmp_path: Path, name: str) -> None:
    order = order_for(tmp_path, **SETTINGS)
    assert getattr(training_arguments(order), name) == getattr(order.training, name)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        *((0, [0, 0, 0, 0]), (0.03, [1, 1, 3, 4]), (0.5, [1, 5, 50, 51]), (0.999, [1, 10, 100, 101])),
        *((1, [1, 10, 100, 101]), (1.0, [1, 10, 100, 101])),
    ],
)
def test_warm_up_is_the_ratio_of_all_steps_rounded_up(
    order_for: OrderFor, tmp_path: Path, ratio: float, expected: list[int]
) -> None:
    arguments = training_arguments(order_for(tmp_path, warmup_ratio=ratio))
    assert [arguments.get_warmup_steps(steps) for steps in (1, 10, 100, 101)] == expected


def test_with_a_ratio_of_1_any_number_of_steps_is_all_warm_up(order_for: OrderFor, tmp_path: Path) -> None:
    arguments = training_arguments(order_for(tmp_path, warmup_ratio=1))
    counts = [*range(1, 3000), 2**31, 10**9 + 7]
    assert [arguments.get_warmup_steps(steps) for steps in counts] == counts


def test_activations_are_computed_again_where_asked(order_for: OrderFor, tmp_path: Path) -> None:
    for asked in (True, False):
        arguments = training_arguments(order_for(tmp_path, gradient_checkpointing=asked))
        assert arguments.activation_checkpointing is asked
        assert arguments.activation_checkpointing_kwargs == {"use_reentrant": False}


def test_a_cpu_is_asked_for_no_tf32(order_for: OrderFor, tmp_path: Path) -> None:
    assert training_arguments(order_for(tmp_path, tf32=True)).tf32 is None
