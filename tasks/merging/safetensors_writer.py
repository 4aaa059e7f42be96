"""Write safetensors files: blocks are computed on all cores, then hashed and written in order."""

import hashlib
import json
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import torch

from tasks.model.tensor_files import ITEM_BYTES, LENGTH_BYTES

# small enough that a block's float32 values stay in the processor's cache
BLOCK_ITEMS = 1 << 20
# blocks of a file that are computed or waiting to be written; this bounds memory
BLOCKS_AHEAD = 8
# small enough that a piece is still in the core's cache when it is written after hashing, and large, since each
# waits for Python's lock
PIECE_BYTES = 1 << 20
# written between two fdatasync calls
SYNC_BYTES = 1 << 28
Block = bytes | bytearray | memoryview
Rows = Callable[[int, int], Block]


@dataclass(frozen=True)
class NewTensor:
    """A tensor to write; `open` is called when writing reaches it and returns a function from rows to bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    open: Callable[[], Rows]

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]

    def blocks(self) -> Iterator[Callable[[], Block]]:
        """Functions that compute the tensor's bytes block by block, in order."""
        if not self.size_bytes:
            return
        rows = self.shape[0] if self.shape else 1
        step = max(1, BLOCK_ITEMS * rows // math.prod(self.shape))
        compute = self.open()
        for first in range(0, rows, step):
            yield partial(compute, first, min(first + step, rows))


@contextmanager
def block_workers() -> Iterator[ThreadPoolExecutor]:
    """A pool of threads for blocks, one per core, each without torch's inner parallelism."""
    # torch's threads would spend their time waiting for each other on such small products
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)), initializer=torch.set_num_threads, initargs=(1,))
    before = torch.get_num_threads()
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        # set_num_threads in a worker also changes the default of later threads
        torch.set_num_threads(before)


def write_tensors(file: Path, tensors: Iterable[NewTensor], pool: ThreadPoolExecutor) -> str:
    """Write a safetensors file with a few blocks in memory at a time; returns its SHA-256 in hex."""
    # widest dtypes first: readers need each tensor aligned to its dtype
    ordered = sorted(tensors, key=lambda tensor: -ITEM_BYTES[tensor.dtype])
    digest = hashlib.sha256()
    with file.open("wb") as opened, _background_sync(opened.fileno()) as sync:
        for block in chain([_header(ordered)], _computed(ordered, pool)):
            content = memoryview(block)
            for begin in range(0, len(content), PIECE_BYTES):
                piece = content[begin : begin + PIECE_BYTES]
                digest.update(piece)
                opened.write(piece)
            sync(len(content))
        opened.flush()
    return digest.hexdigest()


@contextmanager
def _background_sync(handle: int) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the number of bytes written: it syncs the file in the background."""
    written = 0
    with ThreadPoolExecutor(1) as disk:
        pending = disk.submit(os.fdatasync, handle)

        def count(size_bytes: int) -> None:
            nonlocal written, pending
            written += size_bytes
            if written >= SYNC_BYTES:
                written = 0
                # do not run further ahead of a slow disk; this also raises its errors
                pending.result()
                pending = disk.submit(os.fdatasync, handle)

        yield count
        pending.result()
        os.fdatasync(handle)


def _header(tensors: Sequence[NewTensor]) -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in tensors:
        end = offset + tensor.size_bytes
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text


def _computed(tensors: Iterable[NewTensor], pool: ThreadPoolExecutor) -> Iterator[Block]:
    """The bytes of all tensors in order, computed a few blocks ahead."""
    waiting: deque[Future[Block]] = deque()
    for tensor in tensors:
        for compute in tensor.blocks():
            waiting.append(pool.submit(compute))
            if len(waiting) == BLOCKS_AHEAD:
                yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
