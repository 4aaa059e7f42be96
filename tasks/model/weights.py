"""Find the weight files of a model directory and memory-map the tensors in them."""

import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import DataError, ModelError, shortened
from tasks.files import read_json
from tasks.model.tensor_names import TensorNames

if TYPE_CHECKING:
    import torch

# In the order of transformers' from_pretrained: safetensors first, which cannot run code, and for each kind the single
# file before the index. So a directory with both kinds is unambiguous; a single file next to an index of other files is
# refused, since other programs (vLLM, LLaVA) use the index.
KINDS = (("model", ".safetensors"), ("pytorch_model", ".bin"))


@dataclass(frozen=True)
class WeightFiles:
    """The files that hold a model's weights, and their index if there is one."""

    files: list[Path]
    index: Path | None


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a model's weights; raises ModelError as `find_weights` does."""
    return find_weights(folder).files


def find_weights(folder: Path) -> WeightFiles:
    """Find the weight files of a directory in transformers' order; all code that reads weights uses this.

    Raises ModelError if there are none, one is missing, the index is damaged, or the choice is ambiguous.
    """
    for stem, suffix in KINDS:
        single, index = folder / f"{stem}{suffix}", folder / f"{stem}{suffix}.index.json"
        if index.is_file():
            return WeightFiles(_indexed(index, single), index)
        if single.is_file():
            return WeightFiles([single], None)
    raise ModelError(f"{folder} holds no weights ({_lacking(folder)}): copy the model again.")


def _lacking(folder: Path) -> str:
    """The missing file: the index if there are shards."""
    for stem, suffix in KINDS:
        if next(folder.glob(f"{stem}-*-of-*{suffix}"), None) is not None:
            return f"its shards lack {stem}{suffix}.index.json"
    return "model*.safetensors or pytorch_model*.bin"


def _indexed(index: Path, single: Path) -> list[Path]:
    try:
        content = read_json(index)
        names = sorted(set(content["weight_map"].values()))
        if not single.is_file():
            # transformers requires it
            content["metadata"].keys()
    except (DataError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{index} is damaged: copy it again.") from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not (index.parent / name).is_file():
            raise ModelError(f"{index} names {shortened(name)}, which is not in the same folder: copy the model again.")
    if not names:
        raise ModelError(f"{index} names no files: copy it again.")
    if single.is_file() and names != [single.name]:
        raise ModelError(
            f"{index.parent} holds {single.name} and {index.name}, which names others ({names[0]}): it is not clear "
            "which are the model's weights; remove those that are not."
        )
    return [index.parent / name for name in names]


def read_tensors(file: Path) -> "dict[str, torch.Tensor]":
    """Memory-map the tensors of a .safetensors or torch file by name; ModelError if damaged or not only tensors.

    A torch file is read with weights_only, which runs no code from it.
    """
    if file.suffix == ".safetensors":
        return _read_safetensors(file)
    import torch

    try:
        weights = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except pickle.UnpicklingError:
        raise ModelError(
            f"{file} holds more than tensors (code, or it is damaged) and was not opened: fetch it again."
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise ModelError(f"{file} is cut off or damaged ({error}): fetch it again.") from None
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise ModelError(f"{file} does not hold tensors by name: fetch it again.")
    return weights


def _read_safetensors(file: Path) -> "dict[str, torch.Tensor]":
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file} is cut off or damaged ({error}): fetch it again.") from None


def tensors_of(folder: Path, names: TensorNames, prefix: str = "") -> "dict[str, torch.Tensor]":
    """The tensors of a directory by canonical name, memory-mapped; `prefix` is added to their names first.

    Raises ModelError if it holds one weight twice: programs would differ in which tensor they use.
    """
    tensors: dict[str, torch.Tensor] = {}
    for file in weight_files(folder):
        for name, value in read_tensors(file).items():
            if name.endswith(names.buffers):
                continue
            if tensors.setdefault(names.canonical(f"{prefix}{name}"), value) is not value:
                raise duplicate_error(folder, name)
    return tensors


def duplicate_error(folder: Path, name: str) -> ModelError:
    """The error for a directory that holds two tensors for one weight."""
    return ModelError(f"{name} is in {folder} twice: copy the model again.")
