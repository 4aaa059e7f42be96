"""A model directory without its weights in memory: configuration, stored tensors by canonical name, and their slots."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tasks.choices import Layout
from tasks.errors import ModelError
from tasks.model.tensor_files import StoredTensor, read_bytes, require_float
from tasks.model.tensor_names import TensorNames

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


@dataclass(frozen=True)
class StoredModel:
    """A model directory: its configuration in transformers' form, config.json as written, and its stored tensors.

    `names` are the family's. `ties` is whether the configuration ties head and embedding. `tower` is the directory of a
    separate vision tower (original LLaVA layout); its tensors are in `tensors`.
    """

    folder: Path
    names: TensorNames
    layout: Layout
    written: dict[str, Any]
    config: dict[str, Any]
    tensors: dict[str, StoredTensor]
    ties: bool
    tower: Path | None = None

    @property
    def files(self) -> list[Path]:
        """The files that hold the tensors."""
        return sorted({tensor.file for tensor in self.tensors.values()})

    @property
    def projector(self) -> set[str]:
        """Canonical names of the projector's tensors."""
        return {name for name in self.tensors if self.names.is_projector(name)}

    @property
    def tied(self) -> bool:
        """Whether head and embedding share one weight, by transformers 5's rule: not if the files hold two values."""
        if not self.ties:
            return False
        head, embedding = self.tensors.get(self.names.head), self.tensors.get(self.names.embedding)
        return head is None or embedding is None or read_bytes(head) == read_bytes(embedding)


def require_usable(model: StoredModel) -> None:
    """Raise ModelError if a weight is not float32, float16 or bfloat16, or there is no projector."""
    for name, tensor in model.tensors.items():
        if not name.endswith(model.names.buffers):
            require_float(tensor)
    if not model.projector:
        raise ModelError(
            f"{model.folder} has no projector ({model.names.projector[0]}*): give the base that was trained on."
        )


class Slot(NamedTuple):
    """Where to write a tensor: the file, relative to the directory, and the tensor's name in it."""

    file: str
    name: str


def renumbered(tensors: Iterable[StoredTensor]) -> dict[Path, str]:
    """One new file name for each file of these tensors."""
    old = sorted({tensor.file for tensor in tensors})
    if len(old) == 1:
        return {old[0]: SINGLE}
    return {file: f"model-{i:05d}-of-{len(old):05d}.safetensors" for i, file in enumerate(old, 1)}
