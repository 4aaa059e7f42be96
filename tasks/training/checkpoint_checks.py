"""What was trained, whole on one process, and whether a checkpoint holds it: shapes, and values that moved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import safe_open

from tasks.errors import TrainingError
from tasks.model.adapters import read_non_lora
from tasks.model.llava.tensor_names import canonical_name
from tasks.model.weights import weight_files
from tasks.paths import ADAPTER_CONFIG, ADAPTER_WEIGHTS, NON_LORA_WEIGHTS
from tasks.training.trainable import true_shape

Shape = tuple[int, ...]


@dataclass(frozen=True)
class SavedTensor:
    """A tensor in a file; a full model's are too many to be read all at once."""

    shape: Shape
    read: Callable[[], Any]


def whole_trainables(model: Any, part: str = "") -> dict[str, Any]:
    """Copies of the trained parameters whose names hold `part`, on the CPU, by name; every rank must call this.

    Under ZeRO-3 each rank holds a piece; they are put together one by one, and never the frozen base.
    """
    return {
        name: _whole(parameter)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and part in name
    }


def _whole(parameter: Any) -> Any:
    if not hasattr(parameter, "ds_id"):
        return parameter.detach().cpu().clone()
    import deepspeed

    with deepspeed.zero.GatheredParameters([parameter]):
        return parameter.detach().cpu().clone()


def fault_of(checkpoint: Path, model: Any, projector: Mapping[str, Any]) -> str | None:
    """What is wrong with a checkpoint of `model`, or None; `projector` is as it was before training.

    All that is trained must be there, whole, the LoRA matrices B not zero and the projector moved.
    """
    shapes = {name: true_shape(value) for name, value in model.named_parameters() if value.requires_grad}
    saved = _saved_tensors(checkpoint)
    for name, shape in shapes.items():
        found = saved.get(_saved_name(name))
        if found is None or found.shape != shape:
            return f"{name} " + ("is missing" if found is None else f"has the shape {found.shape} in place of {shape}")
    untouched = [name for name in shapes if "lora_B" in name and not saved[_saved_name(name)].read().any()]
    if untouched:
        return f"{untouched[0]} is still zero, as it was before training"
    # of its matrices: a bias that begins at zero moves at any rate
    matrices = {name: start for name, start in projector.items() if start.ndim > 1}
    moved = [name for name, start in matrices.items() if _differs(saved[_saved_name(name)].read(), start)]
    return None if moved else "the projector has not moved"


def require_learned(checkpoint: Path, fault: str | None) -> None:
    """Raise TrainingError for a fault of a checkpoint."""
    if fault is not None:
        raise TrainingError(
            f"{checkpoint.name} holds nothing worth training on: {fault}. Raise learning_rate and mm_projector_lr if "
            "they are very low; else take another deepspeed setting."
        )


def _differs(saved: Any, start: Any) -> bool:
    # as it was saved: what ZeRO keeps in float32 stands in the file in bfloat16
    return bool((saved != start.to(saved.dtype)).any())


def _saved_name(name: str) -> str:
    """The canonical name of a trained parameter: PEFT leaves its adapter's name out of the file."""
    return canonical_name(name.replace(".default.", "."))


def _saved_tensors(checkpoint: Path) -> dict[str, SavedTensor]:
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
    return {canonical_name(name): tensor for name, tensor in found.items()}


def _read(file: Path, name: str) -> Any:
    with safe_open(file, framework="pt") as opened:
        return opened.get_tensor(name)


def _same(tensor: Any) -> Any:
    return tensor
