"""The weight files of a model directory, and the tensors in them: mapped from the disk, read when they are used."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

from tasks.errors import DataError, ModelError
from tasks.files import read_json

# safetensors first: where both stand, they hold the same, and these can run no code
KINDS = (("model", ".safetensors"), ("pytorch_model", ".bin"))


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a model's weights; raises ModelError when there are none or one is missing."""
    for stem, suffix in KINDS:
        single, index = folder / f"{stem}{suffix}", folder / f"{stem}{suffix}.index.json"
        if index.is_file():
            return _indexed(index)
        if single.is_file():
            return [single]
    raise ModelError(f"{folder} holds no weights (model*.safetensors or pytorch_model*.bin): copy the model again.")


def _indexed(index: Path) -> list[Path]:
    try:
        names = sorted(set(read_json(index)["weight_map"].values()))
    except (DataError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{index} is damaged: copy it again.") from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not (index.parent / name).is_file():
            raise ModelError(f"{index} names {name!r}, which does not stand beside it: copy the model again.")
    return [index.parent / name for name in names]


def read_tensors(file: Path) -> dict[str, Any]:
    """The tensors of a .safetensors or torch file by name; raises ModelError when it is damaged or holds more.

    A torch file is never unpickled: it may hold tensors by name and nothing else.
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


def _read_safetensors(file: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file} is cut off or damaged ({error}): fetch it again.") from None
