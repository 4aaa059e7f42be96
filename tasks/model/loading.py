"""Load a model and its processor from directories, with or without an adapter.

The rest of the project loads models through this module, whatever their family.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.choices import Projector
from tasks.model.adapters import put_on, require_adapter, require_made_for
from tasks.model.families import family_of
from tasks.model.family import ModelFamily
from tasks.model.processor import Processor

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = [
    "LoadedModel",
    "choose_device",
    "choose_dtype",
    "load_base",
    "load_model",
    "load_processor",
]


@dataclass(frozen=True)
class LoadedModel:
    """A model on its device, in evaluation mode, with its processor and family."""

    model: "PreTrainedModel"
    device: "torch.device"
    processor: Processor
    family: ModelFamily

    @cached_property
    def positions(self) -> int:
        """The longest sequence in tokens."""
        return self.family.max_positions(self.model.config.to_dict())


def choose_device() -> "torch.device":
    """The first GPU, or the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_dtype(name: str, device: "torch.device") -> "torch.dtype":
    """The torch dtype of that name; for "auto" bfloat16 on a GPU and float32 on a CPU."""
    import torch

    if name == "auto":
        name = "bfloat16" if device.type == "cuda" else "float32"
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def load_base(folder: Path, dtype: "torch.dtype", **options: Any) -> "PreTrainedModel":
    """Load the model of a directory in evaluation mode; raises ModelError if its weights are incomplete."""
    return family_of(folder).load_base(folder, dtype, **options)


def load_processor(folder: Path, adapter: Path | None = None, tower: Path | None = None) -> Processor:
    """Load the processor of a model directory; images are prepared as the adapter says, or else the model."""
    return family_of(folder).load_processor(folder, adapter, tower)


def load_model(
    model: Path, adapter: Path | None = None, dtype: str = "auto", projector: Projector = "adapter"
) -> LoadedModel:
    """Load a model directory, apply an adapter if given, and move the model to the GPU or CPU."""
    family = family_of(model)
    # before the base is loaded, which takes minutes
    tuned = None if adapter is None else require_adapter(adapter, family.names, projector)
    device = choose_device()
    loaded = family.load_base(model, choose_dtype(dtype, device))
    if tuned is not None:
        require_made_for(tuned, loaded, projector)
        loaded = put_on(loaded, tuned)
    return LoadedModel(loaded.to(device), device, family.load_processor(model, adapter), family)
