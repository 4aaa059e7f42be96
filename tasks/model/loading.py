"""Load a model and its processor from directories, with or without an adapter.

The rest of the project loads models through this module; all that is specific to LLaVA 1.5 is in `tasks.model.llava`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.choices import Projector
from tasks.model.adapters import put_on, require_adapter, require_made_for
from tasks.model.llava.base_loading import load_base
from tasks.model.llava.processor import Processor, load_image_processor, load_processor, pads, tokenizer_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = [
    "LoadedModel",
    "Processor",
    "choose_device",
    "choose_dtype",
    "load_base",
    "load_image_processor",
    "load_model",
    "load_processor",
    "pads",
    "tokenizer_of",
]


@dataclass(frozen=True)
class LoadedModel(Processor):
    """A model on its device, in evaluation mode, with its processor."""

    model: "PreTrainedModel"
    device: "torch.device"


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


def load_model(
    model: Path, adapter: Path | None = None, dtype: str = "auto", projector: Projector = "adapter"
) -> LoadedModel:
    """Load a model directory, apply an adapter if given, and move the model to the GPU or CPU."""
    # before the base is loaded, which takes minutes
    tuned = None if adapter is None else require_adapter(adapter, projector)
    device = choose_device()
    loaded = load_base(model, choose_dtype(dtype, device))
    if tuned is not None:
        require_made_for(tuned, loaded, projector)
        loaded = put_on(loaded, tuned)
    processor = load_processor(model, adapter)
    return LoadedModel(**vars(processor), model=loaded.to(device), device=device)
