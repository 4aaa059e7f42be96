"""Safetensors files tensor by tensor: headers, bytes and a writer that never holds more than one tensor.

Format: 8 bytes of header length, a JSON header, then the tensors' bytes without gaps
(https://huggingface.co/docs/safetensors).
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tasks.errors import ModelError

FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
ITEM_BYTES = {
    **{"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2},
    **{"I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1},
}
LENGTH_BYTES = 8


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file; `begin` counts bytes from the start of the file."""

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class NewTensor:
    """A tensor to be written; `produce` gives its bytes when it is its turn."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    produce: Callable[[], bytearray | memoryview]

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


def read_tensors(file: Path) -> list[StoredTensor]:
    """All tensors of a safetensors file in the order of their bytes; ModelError when it is not whole."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(LENGTH_BYTES), "little")
            header = json.loads(opened.read(min(length, file.stat().st_size)))
        start = LENGTH_BYTES + length
        header.pop("__metadata__", None)
        tensors = [
            StoredTensor(file, name, entry["dtype"], tuple(entry["shape"]), start + entry["data_offsets"][0])
            for name, entry in header.items()
        ]
        tensors.sort(key=lambda tensor: (tensor.begin, tensor.size_bytes))
    except FileNotFoundError:
        raise ModelError(f"{file} does not exist: copy the whole directory again.") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError(f"{file} is no whole safetensors file ({error}): copy it again.") from None
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


def read_bytes(tensor: StoredTensor) -> bytearray:
    """The bytes of a tensor."""
    content = bytearray(tensor.size_bytes)
    with tensor.file.open("rb") as file:
        file.seek(tensor.begin)
        if file.readinto(content) != len(content):
            raise ModelError(f"{tensor.file} is cut off at {tensor.name}: copy it again.")
    return content


def read_float(tensor: StoredTensor) -> torch.Tensor:
    """A tensor as fp32; ModelError when its type is none of fp32, fp16 and bf16."""
    if tensor.dtype not in FLOATS:
        raise ModelError(
            f"{tensor.name} in {tensor.file} is of type {tensor.dtype}: only F32, F16 and BF16 can be merged; "
            "use an unquantised model."
        )
    stored = torch.frombuffer(read_bytes(tensor), dtype=FLOATS[tensor.dtype])
    return stored.reshape(tensor.shape).float()


def is_finite(values: torch.Tensor) -> bool:
    """Whether no value is NaN or infinite."""
    # both ends of the range show either; forty times as fast as asking for every value
    return not values.numel() or all(torch.isfinite(end) for end in torch.aminmax(values))


def to_bytes(values: torch.Tensor, dtype: str, name: str) -> memoryview:
    """The bytes of fp32 values, rounded once; ModelError when one is NaN or infinite afterwards."""
    rounded = values.to(FLOATS[dtype]).contiguous()
    if not is_finite(rounded):
        raise ModelError(
            f"{name} holds NaN or Inf as {dtype}: merge a checkpoint from before the loss went astray, or a wider type."
        )
    return memoryview(rounded.reshape(-1).view(torch.uint8).numpy())


def write_tensors(file: Path, tensors: Iterable[NewTensor]) -> None:
    """Write a safetensors file, one tensor in memory at a time."""
    # widest types first: readers need each tensor aligned to its own type
    ordered = sorted(tensors, key=lambda tensor: -ITEM_BYTES[tensor.dtype])
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in ordered:
        end = offset + tensor.size_bytes
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    with file.open("wb") as opened:
        opened.write(len(text).to_bytes(LENGTH_BYTES, "little") + text)
        for tensor in ordered:
            opened.write(tensor.produce())
