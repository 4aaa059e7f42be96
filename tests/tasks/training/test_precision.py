"""bfloat16 with float32 copies of what is trained: small steps are not rounded away."""

from collections.abc import Callable
from pathlib import Path

import torch

from tasks.training.arguments import training_arguments
from tasks.training.job import TrainingOrder
from tasks.training.trainable import PROJECTOR
from tasks.training.worker import build_trainer

OrderFor = Callable[..., TrainingOrder]
SMALL_RATES = {"bf16": True, "mm_projector_lr": 2e-6, "learning_rate": 2e-4, "max_steps": 5, "save_strategy": "no"}


def share_moved(order: TrainingOrder, dtype: torch.dtype) -> float:
    """The share of the projector's elements that a few steps move when it is kept in `dtype`."""
    trainer = build_trainer(order, training_arguments(order))
    weights = [value for name, value in trainer.model.named_parameters() if PROJECTOR in name]
    assert {value.dtype for value in weights} == {torch.float32}
    for value in weights:
        value.data = value.data.to(dtype)
    before = [value.detach().clone() for value in weights]
    trainer.train()
    changed = sum(int((value != old).sum()) for value, old in zip(weights, before, strict=True))
    return changed / sum(value.numel() for value in weights)


def test_nearly_all_of_the_projector_moves_and_in_pure_bfloat16_hardly_any(order_for: OrderFor, tmp_path: Path) -> None:
    order = order_for(tmp_path, **SMALL_RATES)
    kept, pure = share_moved(order, torch.float32), share_moved(order, torch.bfloat16)
    print(kept, pure)
    assert kept > 0.99
    assert pure < 0.2


def test_the_model_computes_in_bfloat16(order_for: OrderFor, tmp_path: Path) -> None:
    trainer = build_trainer(order := order_for(tmp_path, **SMALL_RATES), training_arguments(order))
    seen: list[torch.dtype] = []
    head = trainer.model.get_output_embeddings()
    head.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    trainer.train()
    assert set(seen) == {torch.bfloat16}
