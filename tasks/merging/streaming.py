"""Merge shard by shard: a few tensors in memory, whatever the model's size; what is unchanged is copied as it is."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tasks.files import write_json
from tasks.merging.adapter import Adapter
from tasks.merging.base_model import INDEX, BaseModel
from tasks.merging.tensor_files import (
    FLOATS,
    NewTensor,
    StoredTensor,
    read_bytes,
    read_float,
    to_bytes,
    write_tensors,
)

BASE_DTYPE = "base"
DTYPE_CODES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}


def write_merged(base: BaseModel, adapter: Adapter, dtype: str, out: Path) -> None:
    """Write the merged weights with the base's shards and tensor names.

    W + scale * B @ A in fp32, rounded once to `dtype` ("base": the type that each tensor has in the base).
    """
    write_shards(base, lambda name, tensor: _new_tensor(name, tensor, adapter, dtype), out)


def write_shards(model: BaseModel, renew: Callable[[str, StoredTensor], NewTensor], out: Path) -> None:
    """Write a model's shards again under their names, each tensor as `renew` makes it, and the index."""
    weight_map: dict[str, str] = {}
    total_bytes = 0
    for shard in model.shards:
        tensors = [renew(name, tensor) for name, tensor in model.tensors.items() if tensor.file == shard]
        write_tensors(out / shard.name, tensors)
        weight_map |= {tensor.name: shard.name for tensor in tensors}
        total_bytes += sum(tensor.size_bytes for tensor in tensors)
    if (model.folder / INDEX).is_file():
        metadata: dict[str, Any] = {"total_size": total_bytes}
        write_json(out / INDEX, {"metadata": metadata, "weight_map": dict(sorted(weight_map.items()))})


def _new_tensor(name: str, tensor: StoredTensor, adapter: Adapter, dtype: str) -> NewTensor:
    # whole numbers (positions, masks) keep their type whatever is asked of the weights
    code = DTYPE_CODES[dtype] if dtype != BASE_DTYPE and tensor.dtype in FLOATS else tensor.dtype
    changed = name in adapter.pairs or name in adapter.trained
    if not changed and code == tensor.dtype:
        return NewTensor(tensor.name, code, tensor.shape, partial(read_bytes, tensor))
    return NewTensor(tensor.name, code, tensor.shape, partial(_merged_bytes, name, tensor, adapter, code))


def _merged_bytes(name: str, tensor: StoredTensor, adapter: Adapter, code: str) -> memoryview:
    return to_bytes(_merged(name, tensor, adapter), code, tensor.name)


def _merged(name: str, tensor: StoredTensor, adapter: Adapter) -> torch.Tensor:
    if name in adapter.trained:
        return adapter.trained[name].float()
    if name in adapter.pairs:
        return read_float(tensor).add_(adapter.pairs[name].delta(), alpha=adapter.scale)
    return read_float(tensor)
