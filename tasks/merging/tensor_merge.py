"""Produce each tensor of the merged model: unchanged, converted to another dtype, or changed by the adapter.

Work is done in blocks of rows, so memory does not depend on the size of the model.
"""

import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import torch

from tasks.errors import ModelError
from tasks.merging.safetensors_writer import Block, NewTensor, Rows, block_workers, write_tensors
from tasks.model.adapter_files import Adapter
from tasks.model.adapter_weights import FloatRows, stored_rows
from tasks.model.config_files import BASE_DTYPE
from tasks.model.tensor_files import FLOATS, StoredTensor, float_dtype, float_view, is_finite, read_bytes, read_float

DTYPE_CODES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
# more would only wait for the same disk and cores
FILES_AT_ONCE = 4
# Requested from the disk ahead of the blocks: where the base's digest is known, no other thread reads its files, and
# the kernel's own readahead starts again with each block.
AHEAD_BYTES = 1 << 25
# the kernel cuts off longer requests
REQUEST_BYTES = 1 << 19


def code_of(tensor: StoredTensor, dtype: str) -> str:
    """The safetensors dtype to write; integer tensors (positions, masks) keep theirs."""
    return DTYPE_CODES[dtype] if dtype != BASE_DTYPE and tensor.dtype in FLOATS else tensor.dtype


def kept(tensor: StoredTensor, code: str, name: str) -> NewTensor:
    """An untrained tensor: byte for byte, or rounded once to another dtype."""
    if code == tensor.dtype and code not in FLOATS:
        return NewTensor(name, code, tensor.shape, lambda: partial(read_bytes, tensor))
    rows = _unchanged if code == tensor.dtype else _converted
    return NewTensor(name, code, tensor.shape, lambda: _with_readahead(tensor, partial(rows, tensor, code)))


def merged(tensor: StoredTensor, adapter: Adapter, name: str, code: str, new_name: str) -> NewTensor:
    """A weight as the adapter changes it, computed in float32 and rounded once; `name` is canonical."""
    rows = stored_rows(tensor)

    def open_rows() -> Rows:
        return _with_readahead(tensor, partial(_changed, adapter.rows_of(name, rows), code, tensor.name))

    return NewTensor(new_name, code, tensor.shape, open_rows)


def write_files(files: dict[Path, list[NewTensor]]) -> dict[Path, str]:
    """Write safetensors files, several at a time; returns their SHA-256 in hex. The first error ends all writing."""
    with block_workers() as blocks, ThreadPoolExecutor(FILES_AT_ONCE) as writers:
        waiting = {file: writers.submit(write_tensors, file, tensors, blocks) for file, tensors in files.items()}
        try:
            for ended in as_completed(waiting.values()):
                ended.result()
            return {file: written.result() for file, written in waiting.items()}
        finally:
            writers.shutdown(wait=False, cancel_futures=True)
            # a file that is being written ends with its next block
            blocks.shutdown(wait=False, cancel_futures=True)


def _with_readahead(tensor: StoredTensor, rows: Rows) -> Rows:
    """The same rows; each block of them also requests from the disk what soon follows in the file."""

    def read(first: int, last: int) -> Block:
        _request_after(tensor, first, last)
        return rows(first, last)

    return read


def _request_after(tensor: StoredTensor, first: int, last: int) -> None:
    """Have the disk read what is AHEAD_BYTES after these rows in the file, as much as they are, without waiting."""
    row_bytes = tensor.size_bytes // max(tensor.rows, 1)
    begin, size_bytes = tensor.begin + first * row_bytes + AHEAD_BYTES, (last - first) * row_bytes
    handle = os.open(tensor.file, os.O_RDONLY)
    try:
        for offset in range(begin, begin + size_bytes, REQUEST_BYTES):
            os.posix_fadvise(handle, offset, min(REQUEST_BYTES, begin + size_bytes - offset), os.POSIX_FADV_WILLNEED)
    finally:
        os.close(handle)


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
