"""Write safetensors files: blocks are computed on all cores, hashed as they pass and written in order."""

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

# Small enough that a block's fp32 values stay in the processor's cache on their way.
BLOCK_ITEMS = 1 << 20
# Blocks of a file that are computed or wait to be written; they bound the memory.
BLOCKS_AHEAD = 4
# A piece that has been hashed is still in the core's own cache when it is written.
PIECE_BYTES = 1 << 18
# Written between two orders to the disk.
SYNC_BYTES = 1 << 28
Block = bytes | bytearray | memoryview
Rows = Callable[[int, int], Block]


@dataclass(frozen=True)
class NewTensor:
    """A tensor to be written; `open` is called when it is its turn and gives what makes the bytes of some rows."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    open: Callable[[], Rows]

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]

    def blocks(self) -> Iterator[Callable[[], Block]]:
        """The calls that make the tensor's bytes, in order."""
        if not self.size_bytes:
            return
        rows = self.shape[0] if self.shape else 1
        step = max(1, BLOCK_ITEMS * rows // math.prod(self.shape))
        make = self.open()
        for first in range(0, rows, step):
            yield partial(make, first, min(first + step, rows))


@contextmanager
def block_workers() -> Iterator[ThreadPoolExecutor]:
    """Threads for blocks, one a core, each of which computes alone."""
    # threads that share one small product would wait for each other
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)), initializer=torch.set_num_threads, initargs=(1,))
    before = torch.get_num_threads()
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        # a thread sets the number for those that start after it, too
        torch.set_num_threads(before)


def write_tensors(file: Path, tensors: Iterable[NewTensor], pool: ThreadPoolExecutor) -> str:
    """Write a safetensors file, some blocks of tensors in memory at a time; returns its SHA-256 in hex."""
    # widest types first: readers need each tensor aligned to its own type
    ordered = sorted(tensors, key=lambda tensor: -ITEM_BYTES[tensor.dtype])
    digest = hashlib.sha256()
    with file.open("wb") as opened, _synced_meanwhile(opened.fileno()) as sync:
        for block in chain([_header(ordered)], _computed(ordered, pool)):
            whole = memoryview(block)
            for begin in range(0, len(whole), PIECE_BYTES):
                piece = whole[begin : begin + PIECE_BYTES]
                digest.update(piece)
                opened.write(piece)
            sync(len(whole))
        opened.flush()
    return digest.hexdigest()


@contextmanager
def _synced_meanwhile(handle: int) -> Iterator[Callable[[int], None]]:
    """Give what is called with the bytes written: the disk is at work while more is computed, and done at the end."""
    written = 0
    with ThreadPoolExecutor(1) as disk:
        waiting = disk.submit(os.fdatasync, handle)

        def count(size_bytes: int) -> None:
            nonlocal written, waiting
            written += size_bytes
            if written >= SYNC_BYTES:
                written = 0
                # not further ahead of a slow disk; and what it could not write is said
                waiting.result()
                waiting = disk.submit(os.fdatasync, handle)

        yield count
        waiting.result()
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
        for make in tensor.blocks():
            waiting.append(pool.submit(make))
            if len(waiting) == BLOCKS_AHEAD:
                yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
