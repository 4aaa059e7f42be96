"""Produce each tensor of the merged model: unchanged, converted to another dtype, or changed by the adapter.

Work is done in blocks of rows, so memory does not depend on the size of the model.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch

from tasks.errors import ModelError
from tasks.merging.safetensors_writer import Block, NewTensor, block_workers, write_tensors
from tasks.model.adapter_files import Adapter
from tasks.model.adapter_weights import FloatRows, stored_rows
from tasks.model.config_files import BASE_DTYPE
from tasks.model.tensor_files import FLOATS, StoredTensor, float_dtype, float_view, is_finite, read_bytes, read_float

DTYPE_CODES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
# more would only wait for the same disk and cores
FILES_AT_ONCE = 4


def code_of(tensor: StoredTensor, dtype: str) -> str:
    """The safetensors dtype to write; integer tensors (positions, masks) keep theirs."""
    return DTYPE_CODES[dtype] if dtype != BASE_DTYPE and tensor.dtype in FLOATS else tensor.dtype


def kept(tensor: StoredTensor, code: str, name: str) -> NewTensor:
    """An untrained tensor: byte for byte, or rounded once to another dtype."""
    if code == tensor.dtype and code not in FLOATS:
        return NewTensor(name, code, tensor.shape, lambda: partial(read_bytes, tensor))
    rows = _unchanged if code == tensor.dtype else _converted
    return NewTensor(name, code, tensor.shape, lambda: partial(rows, tensor, code))


def merged(tensor: StoredTensor, adapter: Adapter, name: str, code: str, new_name: str) -> NewTensor:
    """A weight as the adapter changes it, computed in float32 and rounded once; `name` is canonical."""
    rows = stored_rows(tensor)
    return NewTensor(
        new_name, code, tensor.shape, lambda: partial(_changed, adapter.rows_of(name, rows), code, tensor.name)
    )


def write_files(files: dict[Path, list[NewTensor]]) -> dict[Path, str]:
    """Write safetensors files, several at a time; returns their SHA-256 in hex."""
    with block_workers() as blocks, ThreadPoolExecutor(FILES_AT_ONCE) as writers:
        waiting = {file: writers.submit(write_tensors, file, tensors, blocks) for file, tensors in files.items()}
        try:
            return {file: written.result() for file, written in waiting.items()}
        finally:
            writers.shutdown(wait=False, cancel_futures=True)


def _unchanged(tensor: StoredTensor, code: str, first: int, last: int) -> Block:
    content = read_bytes(tensor, first, last)
    _require_finite(float_view(content, code), code, tensor.name)
    return content


def _converted(tensor: StoredTensor, code: str, first: int, last: int) -> Block:
    return _rounded(read_float(tensor, first, last), code, tensor.name)


def _changed(rows: FloatRows, code: str, name: str, first: int, last: int) -> Block:
    return _rounded(rows(first, last), code, name)


def _rounded(values: torch.Tensor, code: str, name: str) -> memoryview:
    rounded = values.to(float_dtype(code))
    _require_finite(rounded, code, name)
    return rounded.reshape(-1).view(torch.uint8).numpy().data


def _require_finite(values: torch.Tensor, code: str, name: str) -> None:
    if not is_finite(values):
        raise ModelError(
            f"{name} holds NaN or Inf as {code}: merge a checkpoint from before the loss diverged, or a wider dtype."
        )
