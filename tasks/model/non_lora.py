"""non_lora_trainables.bin: what a LoRA training trained in full, tensors by name."""

import pickle
from pathlib import Path
from typing import Any

from tasks.errors import ModelError
from tasks.paths import NON_LORA_WEIGHTS


def read_non_lora(adapter: Path) -> dict[str, Any]:
    """The tensors of an adapter's non_lora_trainables.bin; ModelError when it is damaged or holds anything else."""
    import torch

    file = adapter / NON_LORA_WEIGHTS
    try:
        weights = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ModelError(
            f"{file} holds more than tensors (code, or it is damaged) and was not opened: fetch the checkpoint again."
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise ModelError(f"{file} is cut off or damaged ({error}): fetch the checkpoint again.") from None
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise ModelError(f"{file} does not hold tensors by name: fetch the checkpoint again.")
    return weights
