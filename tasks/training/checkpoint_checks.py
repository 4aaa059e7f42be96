"""Check that a checkpoint holds everything that was trained, with the right shapes, and that training moved it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import safe_open

from tasks.errors import TrainingError
from tasks.model.adapters import read_non_lora
from tasks.model.tensor_names import TensorNames
from tasks.model.weights import weight_files
from tasks.paths import ADAPTER_CONFIG, ADAPTER_WEIGHTS, NON_LORA_WEIGHTS
from tasks.training.trainable import full_shape

if TYPE_CHECKING:
    import torch

Shape = tuple[int, ...]


@dataclass(frozen=True)
class SavedTensor:
    """A tensor in a file, read on demand: those of a full model are too large to hold all at once."""

    shape: Shape
    read: "Callable[[], torch.Tensor]"


def checkpoint_fault(
    checkpoint: Path, model: "torch.nn.Module", projector: "Mapping[str, torch.Tensor]", names: TensorNames
) -> str | None:
    """What is wrong with a checkpoint of `model`, or None; `projector` holds its values before training.

    Every trained tensor must be there in its full shape, no LoRA matrix B may be zero, and the projector must have
    changed, unless it is not trained: then `projector` is empty.
    """
    shapes = {name: full_shape(value) for name, value in model.named_parameters() if value.requires_grad}
    saved = _saved_tensors(checkpoint, names)
    for name, shape in shapes.items():
        found = saved.get(_saved_name(name, names))
        if found is None or found.shape != shape:
            return f"{name} " + ("is missing" if found is None else f"has the shape {found.shape} instead of {shape}")
    untouched = [name for name in shapes if "lora_B" in name and not saved[_saved_name(name, names)].read().any()]
    if untouched:
        return f"{untouched[0]} is still zero, as before training"
    # only its matrices: a bias that starts at zero changes at any learning rate
    matrices = {name: start for name, start in projector.items() if start.ndim > 1}
    moved = [name for name, start in matrices.items() if _differs(saved[_saved_name(name, names)].read(), start)]
    return None if moved or not matrices else "the projector has not changed"


def require_trained(checkpoint: Path, fault: str | None) -> None:
    """Raise TrainingError if a checkpoint has a fault."""
    if fault is not None:
        raise TrainingError(
            f"Training changes nothing in {checkpoint.name}: {fault}. Raise learning_rate and mm_projector_lr if they "
            "are very low; otherwise choose another deepspeed setting."
        )


def _differs(saved: "torch.Tensor", start: "torch.Tensor") -> bool:
    # in the file's type: ZeRO trains in float32 and saves bfloat16
    return bool((saved != start.to(saved.dtype)).any())


def _saved_name(name: str, names: TensorNames) -> str:
    """The canonical name of a trained parameter: PEFT omits the adapter's name in the file."""
    return names.canonical(name.replace(".default.", "."))


def _saved_tensors(checkpoint: Path, names: TensorNames) -> dict[str, SavedTensor]:
    """All tensors in a checkpoint's files, by canonical name."""
    found = {}
    adapter = (checkpoint / ADAPTER_CONFIG).is_file()
    for file in [checkpoint / ADAPTER_WEIGHTS] if adapter else weight_files(checkpoint):
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 - no dictionary
                found[name] = SavedTensor(tuple(opened.get_slice(name).get_shape()), partial(_read, file, name))
    if (checkpoint / NON_LORA_WEIGHTS).is_file():
        for name, tensor in read_non_lora(checkpoint).items():
            found[name] = SavedTensor(tuple(tensor.shape), partial(_same, tensor))
    return {names.canonical(name): tensor for name, tensor in found.items()}


def _read(file: Path, name: str) -> "torch.Tensor":
    with safe_open(file, framework="pt") as opened:
        return opened.get_tensor(name)


def _same(tensor: "torch.Tensor") -> "torch.Tensor":
    return tensor
