"""Locate tensors in safetensors and torch files, and read rows of them without loading the rest.

Safetensors: 8 bytes of header length, a JSON header, then the tensors' bytes without gaps
(https://huggingface.co/docs/safetensors). A torch file is a zip archive that stores the tensors' bytes uncompressed.
"""

import math
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import ModelError
from tasks.json_text import decode_json
from tasks.model.weights import read_tensors as read_torch_file

if TYPE_CHECKING:
    import torch

# the codes of safetensors, and torch's names of the same dtypes
FLOATS = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
TORCH_CODES = {
    **{f"torch.{name}": code for code, name in FLOATS.items()},
    **{"torch.float64": "F64", "torch.int64": "I64", "torch.int32": "I32", "torch.int16": "I16", "torch.int8": "I8"},
    **{"torch.uint8": "U8", "torch.bool": "BOOL"},
}
ITEM_BYTES = {
    **{"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2},
    **{"I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1},
}
LENGTH_BYTES = 8


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file; `dtype` is the safetensors code, `begin` the offset in bytes from the start of the file."""

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]

    @property
    def rows(self) -> int:
        """Length of the first dimension; 1 for a scalar."""
        return self.shape[0] if self.shape else 1


def list_tensors(file: Path) -> list[StoredTensor]:
    """Read the headers of all tensors in a .safetensors or torch file, ordered by offset; ModelError if incomplete."""
    if file.suffix == ".safetensors":
        return _in_safetensors(file)
    return _in_torch_file(file)


def _in_safetensors(file: Path) -> list[StoredTensor]:
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(LENGTH_BYTES), "little")
            header = decode_json(opened.read(min(length, file.stat().st_size)))
        start = LENGTH_BYTES + length
        header.pop("__metadata__", None)
        tensors = [
            StoredTensor(file, name, entry["dtype"], tuple(entry["shape"]), start + entry["data_offsets"][0])
            for name, entry in header.items()
        ]
        tensors.sort(key=lambda tensor: (tensor.begin, tensor.size_bytes))
    except FileNotFoundError:
        raise ModelError(f"{file} does not exist: copy the whole directory again.") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ModelError(f"{file} is not a complete safetensors file ({error}): copy it again.") from None
    _require_no_gaps(file, start, tensors)
    return tensors


def _require_no_gaps(file: Path, start: int, tensors: Sequence[StoredTensor]) -> None:
    expected = start
    for tensor in tensors:
        if tensor.begin != expected:
            raise ModelError(f"{file} is damaged at {tensor.name}: copy it again.")
        expected += tensor.size_bytes
    size = file.stat().st_size
    if size != expected:
        raise ModelError(
            f"{file} is cut off or damaged: it has {size} bytes and should have {expected}; copy it again."
        )


def _in_torch_file(file: Path) -> list[StoredTensor]:
    """Read the headers of a torch file's tensors, not their values."""
    import torch

    # for its error messages; it unpickles tensors only, memory-mapped
    read_torch_file(file)
    if not zipfile.is_zipfile(file):
        raise ModelError(f"{file} was written by torch before 1.6: load it and save it again with a newer version.")
    tensors = []
    # a tensor on this device has no values, but still its offset in the file
    for name, value in torch.load(file, map_location="meta", weights_only=True).items():
        if str(value.dtype) not in TORCH_CODES or not value.is_contiguous():
            raise ModelError(f"{name} in {file} is of dtype {value.dtype} or not contiguous: save the model again.")
        begin = value.untyped_storage()._checkpoint_offset + value.storage_offset() * value.element_size()
        tensors.append(StoredTensor(file, name, TORCH_CODES[str(value.dtype)], tuple(value.shape), begin))
    return sorted(tensors, key=lambda tensor: tensor.begin)


def read_bytes(tensor: StoredTensor, first: int = 0, last: int | None = None) -> bytearray:
    """The bytes of rows first..last-1 of a tensor, by default of all rows."""
    row_bytes = tensor.size_bytes // max(tensor.rows, 1)
    content = bytearray(((tensor.rows if last is None else last) - first) * row_bytes)
    handle = os.open(tensor.file, os.O_RDONLY)
    try:
        found = os.preadv(handle, [content], tensor.begin + first * row_bytes)
    finally:
        os.close(handle)
    if found != len(content):
        raise ModelError(f"{tensor.file} is cut off at {tensor.name}: copy it again.")
    return content


def require_float(tensor: StoredTensor) -> None:
    """Raise ModelError for a tensor that is not float32, float16 or bfloat16."""
    if tensor.dtype not in FLOATS:
        raise ModelError(
            f"{tensor.name} in {tensor.file} is of dtype {tensor.dtype}: only F32, F16 and BF16 can be merged; "
            "save the model in one of these, or use an unquantised one."
        )


def read_float(tensor: StoredTensor, first: int = 0, last: int | None = None) -> "torch.Tensor":
    """Rows first..last-1 of a tensor (all by default) as float32 (rows, ...); ModelError if it is not of floats."""
    import torch

    require_float(tensor)
    content = read_bytes(tensor, first, last)
    if not content:
        return torch.empty(tensor.shape)
    values = float_view(content, tensor.dtype).float()
    return values.reshape(-1, *tensor.shape[1:]) if tensor.shape else values.reshape(())


def float_view(content: bytearray, dtype: str) -> "torch.Tensor":
    """Stored bytes as a 1-D tensor of that safetensors dtype (F32, F16 or BF16), without a copy."""
    import torch

    return torch.frombuffer(content, dtype=float_dtype(dtype))


def float_dtype(code: str) -> "torch.dtype":
    """The dtype of a safetensors code: F32, F16 or BF16."""
    import torch

    dtype: torch.dtype = getattr(torch, FLOATS[code])
    return dtype


def is_finite(values: "torch.Tensor") -> bool:
    """Whether no value of a float tensor is NaN or infinite."""
    import torch

    # minimum and maximum are enough, and forty times as fast as isfinite on every value
    return not values.numel() or all(torch.isfinite(end) for end in torch.aminmax(values))
