"""The first checkpoint is looked at: whole adapters, matrices B that are not zero, a projector that moved."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.errors import TrainingError
from tasks.paths import ADAPTER_WEIGHTS, NON_LORA_WEIGHTS
from tasks.training.arguments import training_arguments
from tasks.training.checkpoint_checks import fault_of, whole_trainables
from tasks.training.job import TrainingOrder
from tasks.training.trainable import PROJECTOR
from tasks.training.worker import build_trainer

OrderFor = Callable[..., TrainingOrder]


@pytest.fixture(scope="module")
def trained(order_for: OrderFor, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A trainer after two steps, its checkpoint and where its projector started."""
    order = order_for(tmp_path_factory.mktemp("learned"), max_steps=2)
    trainer = build_trainer(order, training_arguments(order))
    start = whole_trainables(trainer.model, PROJECTOR)
    trainer.train()
    return SimpleNamespace(model=trainer.model, start=start, checkpoint=order.out / "checkpoint-2")


def test_a_checkpoint_that_learned_has_no_fault(trained: SimpleNamespace) -> None:
    assert len(trained.start) == 4
    assert fault_of(trained.checkpoint, trained.model, trained.start) is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda name, value: None if "layers.1.mlp.up_proj.lora_A" in name else value, "is missing"),
        (lambda name, value: value[:0] if "layers.1.mlp.up_proj.lora_A" in name else value, "has the shape"),
        (lambda name, value: value * ("layers.1.mlp.up_proj.lora_B" not in name), "is still zero"),
    ],
)
def test_adapters_that_are_not_whole_are_named(
    trained: SimpleNamespace, tmp_path: Path, change: Callable[[str, torch.Tensor], torch.Tensor | None], fault: str
) -> None:
    broken = tmp_path / "checkpoint-2"
    copytree(trained.checkpoint, broken)
    weights = {name: change(name, value) for name, value in load_file(broken / ADAPTER_WEIGHTS).items()}
    save_file(
        {name: value.contiguous() for name, value in weights.items() if value is not None}, broken / ADAPTER_WEIGHTS
    )
    found = fault_of(broken, trained.model, trained.start)
    assert found is not None
    assert fault in found
    assert "layers.1.mlp.up_proj" in found


def test_a_projector_as_it_was_is_a_fault(trained: SimpleNamespace, tmp_path: Path) -> None:
    broken = tmp_path / "checkpoint-2"
    copytree(trained.checkpoint, broken)
    torch.save(trained.start, broken / NON_LORA_WEIGHTS)
    assert fault_of(broken, trained.model, trained.start) == "the projector has not moved"


@pytest.mark.parametrize(
    ("settings", "fault"),
    [({"learning_rate": 1e-300}, "lora_B.* is still zero"), ({"mm_projector_lr": 1e-30}, "projector has not moved")],
)
def test_training_that_moves_nothing_ends_at_its_first_checkpoint(
    order_for: OrderFor, tmp_path: Path, settings: dict[str, float], fault: str
) -> None:
    order = order_for(tmp_path, **settings)
    trainer = build_trainer(order, training_arguments(order))
    with pytest.raises(TrainingError, match=fault):
        trainer.train()
    assert trainer.state.global_step == 2
    assert not (tmp_path / "checkpoint-2" / "COMPLETE.json").exists()


def test_the_step_at_rate_0_that_a_warm_up_begins_with_is_no_fault(order_for: OrderFor, tmp_path: Path) -> None:
    order = order_for(tmp_path, warmup_ratio=0.5, max_steps=2, save_steps=1)
    build_trainer(order, training_arguments(order)).train()
    assert (tmp_path / "checkpoint-1" / "COMPLETE.json").exists()
