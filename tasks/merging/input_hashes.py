"""SHA-256 of the inputs, found in threads of their own while the merge reads the same bytes."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Several files at a time, so that hashing is not slower than writing; each also warms the page cache for the merge.
FILES_AT_ONCE = 4
# Asked of the disk at a time, so that it is at work while this is hashed; the system's own reading ahead costs more.
AHEAD_BYTES = 1 << 26
PIECE_BYTES = 1 << 18


@dataclass(frozen=True)
class Hashes:
    """Hashes under way, by part of the inputs and name of the file."""

    waiting: Mapping[str, Mapping[str, Future[str]]]

    def all(self) -> dict[str, dict[str, str]]:
        """All of them, waited for."""
        return {
            part: {name: found.result() for name, found in sorted(files.items())}
            for part, files in self.waiting.items()
        }


@contextmanager
def hashed_meanwhile(inputs: Mapping[str, Mapping[str, Path]]) -> Iterator[Hashes]:
    """Begin to hash files; what is still to be hashed when the block fails is left."""
    pool = ThreadPoolExecutor(FILES_AT_ONCE)
    try:
        yield Hashes(
            {
                part: {name: pool.submit(_sha256_ahead, path) for name, path in files.items()}
                for part, files in inputs.items()
            }
        )
    finally:
        pool.shutdown(cancel_futures=True)


def _sha256_ahead(path: Path) -> str:
    digest = hashlib.sha256()
    piece = memoryview(bytearray(PIECE_BYTES))
    read = asked = 0
    with path.open("rb", buffering=0) as file:
        while True:
            if read >= asked - AHEAD_BYTES:
                os.posix_fadvise(file.fileno(), asked, AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
                asked += AHEAD_BYTES
            count = file.readinto(piece)
            if not count:
                return digest.hexdigest()
            digest.update(piece[:count])
            read += count
