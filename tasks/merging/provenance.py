"""provenance.json: the SHA-256 of every input file, computed in the background while the merge reads the same bytes."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROVENANCE = "provenance.json"
# several files at a time, so that hashing keeps up with writing; it also fills the page cache for the merge
FILES_AT_ONCE = 4
# requested from the disk ahead of hashing, so that both work at once; the kernel's own readahead is slower
AHEAD_BYTES = 1 << 26
PIECE_BYTES = 1 << 18


@dataclass(frozen=True)
class Hashes:
    """Hashes that are being computed, by part of the inputs and file name."""

    pending: Mapping[str, Mapping[str, Future[str]]]

    def wait(self) -> dict[str, dict[str, str]]:
        """Wait for all hashes and return them."""
        return {
            part: {name: found.result() for name, found in sorted(files.items())}
            for part, files in self.pending.items()
        }


def provenance(hashes: Hashes, names: Mapping[str, str], settings: Mapping[str, object]) -> dict[str, object]:
    """The content of provenance.json: hashes of every part of the inputs with its name, and the settings."""
    parts = {part: {"name": names.get(part, part), "files": files} for part, files in hashes.wait().items()}
    return {"version": 2, **parts, "settings": dict(settings)}


@contextmanager
def hashing(inputs: Mapping[str, Mapping[str, Path]]) -> Iterator[Hashes]:
    """Hash files while the block runs; if it fails, files not yet started are skipped."""
    pool = ThreadPoolExecutor(FILES_AT_ONCE)
    try:
        yield Hashes(
            {
                part: {name: pool.submit(_sha256_with_readahead, path) for name, path in files.items()}
                for part, files in inputs.items()
            }
        )
    finally:
        pool.shutdown(cancel_futures=True)


def _sha256_with_readahead(path: Path) -> str:
    digest = hashlib.sha256()
    piece = memoryview(bytearray(PIECE_BYTES))
    read = requested = 0
    with path.open("rb", buffering=0) as file:
        while True:
            if read >= requested - AHEAD_BYTES:
                os.posix_fadvise(file.fileno(), requested, AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
                requested += AHEAD_BYTES
            count = file.readinto(piece)
            if not count:
                return digest.hexdigest()
            digest.update(piece[:count])
            read += count
