"""SHA-256 of the inputs, found in threads of their own while the merge reads the same bytes."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.files import sha256_of

# Several files at a time, so that hashing is not slower than writing; each also warms the page cache for the merge.
FILES_AT_ONCE = 4


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
                part: {name: pool.submit(sha256_of, path) for name, path in files.items()}
                for part, files in inputs.items()
            }
        )
    finally:
        pool.shutdown(cancel_futures=True)
