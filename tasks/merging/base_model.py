"""The base model's tensors by canonical name, and the files that make its directory loadable."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import DataError, ModelError
from tasks.files import read_json
from tasks.merging.tensor_files import StoredTensor, read_tensors
from tasks.model.formats import PROJECTOR_PREFIX, canonical_name
from tasks.model.loading import require_model_config

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
NEEDED_CONFIG = ("text_config", "vision_config")


@dataclass(frozen=True)
class BaseModel:
    """A model directory in transformers' LLaVA layout."""

    folder: Path
    config: dict[str, Any]
    tensors: dict[str, StoredTensor]

    @property
    def shards(self) -> list[Path]:
        return sorted({tensor.file for tensor in self.tensors.values()})

    @property
    def projector(self) -> set[str]:
        """Canonical names of the projector's tensors."""
        return {name for name in self.tensors if name.startswith(PROJECTOR_PREFIX)}


def read_base(folder: Path) -> BaseModel:
    """Read the headers of a base model; ModelError when it is incomplete, damaged or of another layout."""
    config = require_model_config(folder)
    lacking = [key for key in NEEDED_CONFIG if not isinstance(config.get(key), dict)]
    if lacking:
        raise ModelError(
            f"{folder}/config.json has no {lacking[0]}: give a base model in transformers layout, "
            "as llava-hf/llava-1.5-7b-hf has it."
        )
    tensors: dict[str, StoredTensor] = {}
    for file in _shards(folder):
        for tensor in read_tensors(file):
            if tensors.setdefault(canonical_name(tensor.name), tensor) is not tensor:
                raise ModelError(f"{tensor.name} stands twice in {folder}: copy the model again.")
    _require_indexed(folder, tensors)
    base = BaseModel(folder, config, tensors)
    if not base.projector:
        raise ModelError(f"{folder} has no projector ({PROJECTOR_PREFIX}*): give the base that was trained on.")
    return base


def _shards(folder: Path) -> list[Path]:
    if (folder / INDEX).is_file():
        return [folder / name for name in sorted(set(_weight_map(folder).values()))]
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    raise ModelError(f"{folder} holds neither {SINGLE} nor {INDEX}: give a model directory with safetensors.")


def _weight_map(folder: Path) -> dict[str, str]:
    try:
        weight_map = read_json(folder / INDEX)["weight_map"]
    except (DataError, KeyError, TypeError):
        raise ModelError(f"{folder / INDEX} is damaged: copy it again.") from None
    outside = [name for name in weight_map.values() if Path(name).name != name]
    if outside:
        raise ModelError(f"{folder / INDEX} names {outside[0]!r}, outside its folder: copy it again.")
    return dict(weight_map)


def _require_indexed(folder: Path, tensors: dict[str, StoredTensor]) -> None:
    if (folder / INDEX).is_file():
        present = {(tensor.name, tensor.file.name) for tensor in tensors.values()}
        lost = sorted(set(_weight_map(folder).items()) - present)
        if lost:
            raise ModelError(f"{folder} lacks {lost[0][0]} in {lost[0][1]}: copy the model again.")
