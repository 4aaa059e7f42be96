"""What a training would train, counted on a model without memory: the meta device holds shapes and no values."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.model.configuration import require_model_config
from tasks.settings import TrainingConfig
from tasks.training.adapters import PROJECTOR, TOWER, prepare_trainable


@dataclass(frozen=True)
class Trainable:
    """Trained parameters by part (adapters, projector, language model, vision tower), and all parameters."""

    parts: dict[str, int]
    total: int

    @property
    def trained(self) -> int:
        return sum(self.parts.values())

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {count:,}" for name, count in self.parts.items())
        return f"{self.trained:,} of {self.total:,} parameters are trained ({parts})"


def describe_trainable(base: Path, config: TrainingConfig) -> Trainable:
    """What a training of the model directory `base` would train; reads its configuration alone."""
    model = trainable_shapes(require_model_config(base), config)
    parts = Counter[str]()
    for name, value in model.named_parameters():
        if value.requires_grad:
            parts[_part(name)] += value.numel()
    return Trainable(dict(sorted(parts.items())), sum(value.numel() for value in model.parameters()))


def trainable_shapes(model: dict[str, Any], config: TrainingConfig) -> Any:
    """The model of a transformers configuration, prepared for training, all shapes and no values."""
    import torch
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    with torch.random.fork_rng(), torch.device("meta"):
        return prepare_trainable(LlavaForConditionalGeneration(LlavaConfig.from_dict(model)), config)


def _part(name: str) -> str:
    if "lora_" in name:
        return "adapters"
    return "projector" if PROJECTOR in name else "vision tower" if TOWER in name else "language model"
