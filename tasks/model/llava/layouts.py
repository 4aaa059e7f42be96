"""Names of tensors and files in the two layouts.

transformers   as llava-hf publishes it, with the tower in the shards
llava          the original: model.mm_projector in the shards, the tower in a folder of its own
"""

from typing import NamedTuple

from tasks.model.llava.original_layout import BUFFERS, TOWER_PREFIX
from tasks.model.llava.tensor_names import PROJECTOR_PREFIX, published_name
from tasks.model.model_tensors import BaseModel, Layout
from tasks.model.tensor_files import StoredTensor

TOWER_FOLDER = "vision_tower"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_ORIGINAL = (
    ("model.language_model.", "model."),
    (f"{PROJECTOR_PREFIX}linear_1.", "model.mm_projector.0."),
    (f"{PROJECTOR_PREFIX}linear_2.", "model.mm_projector.2."),
    (TOWER_PREFIX, "vision_model."),
)


class Place(NamedTuple):
    """Where a tensor is written: the file, relative to the directory, and its name there."""

    file: str
    name: str


def places(model: BaseModel, layout: Layout) -> dict[str, Place]:
    """The place of each tensor, by canonical name; a directory of the same layout keeps its shards.

    In transformers' layout the names are those that llava-hf publishes, whatever version wrote the model's files.
    """
    tensors = model.tensors
    if layout == model.layout:
        tensors = {name: tensor for name, tensor in tensors.items() if tensor.file.parent == model.folder}
    else:
        tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith(BUFFERS)}
    if layout == "transformers":
        return _numbered(tensors, {name: published_name(name) for name in tensors})
    if layout == model.layout:
        return _numbered(tensors, {name: tensor.name for name, tensor in tensors.items()})
    names = {name: _original_name(name) for name in tensors}
    tower = {name: Place(f"{TOWER_FOLDER}/{SINGLE}", names[name]) for name in names if name.startswith(TOWER_PREFIX)}
    return tower | _numbered({name: tensor for name, tensor in tensors.items() if name not in tower}, names)


def _original_name(name: str) -> str:
    for old, new in _ORIGINAL:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _numbered(tensors: dict[str, StoredTensor], names: dict[str, str]) -> dict[str, Place]:
    """One new file for each old one."""
    old = sorted({tensor.file for tensor in tensors.values()})
    new = {
        file: SINGLE if len(old) == 1 else f"model-{i:05d}-of-{len(old):05d}.safetensors"
        for i, file in enumerate(old, 1)
    }
    return {name: Place(new[tensor.file], names[name]) for name, tensor in tensors.items()}
