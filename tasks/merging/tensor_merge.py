"""How each tensor of the new model comes of the old one: as it is, in another type, or with its LoRA product added.

All is done by rows, so that a few blocks are in memory, whatever the model's size.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch

from tasks.errors import ModelError
from tasks.merging.safetensors_writer import Block, NewTensor, block_workers, write_tensors
from tasks.model.adapter_files import Adapter
from tasks.model.adapter_weights import FloatRows, stored_rows
from tasks.model.tensor_files import FLOATS, StoredTensor, is_finite, read_bytes, read_float

BASE_DTYPE = "base"
DTYPE_CODES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
# Files that are written at a time; more would only wait for the same disk and cores.
FILES_AT_ONCE = 4


def code_of(tensor: StoredTensor, dtype: str) -> str:
    """The type in which a tensor is written; whole numbers (positions, masks) keep theirs whatever is asked."""
    return DTYPE_CODES[dtype] if dtype != BASE_DTYPE and tensor.dtype in FLOATS else tensor.dtype


def kept(tensor: StoredTensor, code: str, name: str) -> NewTensor:
    """A tensor as it is, byte for byte, or rounded once to another type."""
    if code == tensor.dtype and code not in FLOATS:
        return NewTensor(name, code, tensor.shape, lambda: partial(read_bytes, tensor))
    rows = _passed if code == tensor.dtype else _converted
    return NewTensor(name, code, tensor.shape, lambda: partial(rows, tensor, code))


def merged(tensor: StoredTensor, adapter: Adapter, name: str, code: str, new_name: str) -> NewTensor:
    """A weight as an adapter changes it, in fp32, rounded once; `name` is canonical."""
    rows = stored_rows(tensor)
    return NewTensor(
        new_name, code, tensor.shape, lambda: partial(_changed, adapter.rows_of(name, rows), code, tensor.name)
    )


def write_files(files: dict[Path, list[NewTensor]]) -> dict[Path, str]:
    """Write safetensors files, several at a time; their SHA-256."""
    with block_workers() as blocks, ThreadPoolExecutor(FILES_AT_ONCE) as writers:
        waiting = {file: writers.submit(write_tensors, file, tensors, blocks) for file, tensors in files.items()}
        try:
            return {file: written.result() for file, written in waiting.items()}
        finally:
            writers.shutdown(wait=False, cancel_futures=True)


def _passed(tensor: StoredTensor, code: str, first: int, last: int) -> Block:
    content = read_bytes(tensor, first, last)
    _require_finite(torch.frombuffer(content, dtype=FLOATS[code]), code, tensor.name)
    return content


def _converted(tensor: StoredTensor, code: str, first: int, last: int) -> Block:
    return _rounded(read_float(tensor, first, last), code, tensor.name)


def _changed(rows: FloatRows, code: str, name: str, first: int, last: int) -> Block:
    return _rounded(rows(first, last), code, name)


def _rounded(values: torch.Tensor, code: str, name: str) -> memoryview:
    rounded = values.to(FLOATS[code])
    _require_finite(rounded, code, name)
    return memoryview(rounded.reshape(-1).view(torch.uint8).numpy())


def _require_finite(values: torch.Tensor, code: str, name: str) -> None:
    if not is_finite(values):
        raise ModelError(
            f"{name} holds NaN or Inf as {code}: merge a checkpoint from before the loss went astray, or a wider type."
        )
