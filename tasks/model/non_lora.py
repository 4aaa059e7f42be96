"""non_lora_trainables.bin: what a LoRA training trained in full, tensors by name."""

from pathlib import Path
from typing import Any

from tasks.model.weights import read_tensors
from tasks.paths import NON_LORA_WEIGHTS


def read_non_lora(adapter: Path) -> dict[str, Any]:
    """The tensors of an adapter's non_lora_trainables.bin; ModelError when it is damaged or holds anything else."""
    return read_tensors(adapter / NON_LORA_WEIGHTS)
