"""What a checkpoint of a training holds."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from tasks.files import read_json


def losses(checkpoint: Path) -> list[float]:
    """The logged losses."""
    history = read_json(checkpoint / "trainer_state.json")["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """All trained tensors of a LoRA checkpoint."""
    projector = torch.load(checkpoint / "non_lora_trainables.bin", weights_only=True)
    return {**load_file(checkpoint / "adapter_model.safetensors"), **projector}
