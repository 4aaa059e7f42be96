"""The tensor headers of a model directory by canonical name."""

from collections.abc import Mapping
from pathlib import Path

from tasks.errors import DataError, ModelError
from tasks.files import read_json
from tasks.model.configuration import lacks
from tasks.model.tensor_files import StoredTensor, list_tensors
from tasks.model.tensor_names import TensorNames
from tasks.model.weights import duplicate_error, find_weights, weight_files


def stored_tensors(folder: Path, names: TensorNames, prefix: str = "") -> dict[str, StoredTensor]:
    """The headers of a directory's tensors by canonical name; `prefix` is added to their names first.

    Raises ModelError if files are missing or damaged, or one weight is there twice.
    """
    tensors: dict[str, StoredTensor] = {}
    for file in weight_files(folder):
        for tensor in list_tensors(file):
            name = names.canonical(prefix + tensor.name)
            if tensors.setdefault(name, tensor) is not tensor:
                raise duplicate_error(folder, tensor.name)
    return tensors


def require_indexed(folder: Path, tensors: Mapping[str, StoredTensor]) -> None:
    """Raise ModelError if a tensor that the index names is not in its file."""
    index = find_weights(folder).index
    if index is None:
        return
    try:
        named = set(read_json(index)["weight_map"].items())
    except (DataError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{index} is damaged: copy it again.") from None
    lost = sorted(named - {(tensor.name, tensor.file.name) for tensor in tensors.values()})
    if lost:
        raise lacks(folder, f"{lost[0][0]} in {lost[0][1]}")
