"""provenance.json: the SHA-256 of every input file, computed in the background while the merge reads the same bytes.

Large files that were hashed before and have not changed since are not hashed again.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event

from tasks.known_digests import known_sha256

PROVENANCE = "provenance.json"
# several files at a time, so that hashing keeps up with writing; it also fills the page cache for the merge
FILES_AT_ONCE = 4
# requested from the disk ahead of hashing, so that both work at once; the kernel's own readahead is slower
AHEAD_BYTES = 1 << 26
# large, since between two pieces a thread waits up to 5 ms for Python's lock while another one imports transformers
PIECE_BYTES = 1 << 23


class Hashes:
    """SHA-256 of files, each computed once in the background, from when it is first named."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._found: dict[Path, Future[str]] = {}
        self._stopped = Event()

    def start(self, files: Iterable[Path]) -> None:
        """Begin with those files that are not being hashed yet."""
        for file in files:
            if file not in self._found:
                compute = partial(_sha256_with_readahead, stopped=self._stopped)
                self._found[file] = self._pool.submit(known_sha256, file, compute)

    def stop(self) -> None:
        """Give up what is not finished."""
        self._stopped.set()
        self._pool.shutdown(cancel_futures=True)

    def of(self, inputs: Mapping[str, Mapping[str, Path]]) -> dict[str, dict[str, str]]:
        """Wait for the hashes of all parts of the inputs and return them by part and name."""
        for files in inputs.values():
            self.start(files.values())
        return {
            part: {name: self._found[file].result() for name, file in sorted(files.items())}
            for part, files in inputs.items()
        }


def provenance(
    hashes: Mapping[str, Mapping[str, str]], names: Mapping[str, str], settings: Mapping[str, object]
) -> dict[str, object]:
    """The content of provenance.json: hashes of every part of the inputs with its name, and the settings."""
    parts = {part: {"name": names.get(part, part), "files": files} for part, files in hashes.items()}
    return {"version": 2, **parts, "settings": dict(settings)}


@contextmanager
def hashing(files: Iterable[Path]) -> Iterator[Hashes]:
    """Hash files while the block runs; when it ends, what is not finished is given up at once."""
    hashes = Hashes(ThreadPoolExecutor(FILES_AT_ONCE))
    try:
        hashes.start(files)
        yield hashes
    finally:
        hashes.stop()


def _sha256_with_readahead(path: Path, stopped: Event) -> str:
    digest = hashlib.sha256()
    piece = memoryview(bytearray(PIECE_BYTES))
    read = requested = 0
    with path.open("rb", buffering=0) as file:
        while not stopped.is_set():
            if read >= requested - AHEAD_BYTES:
                os.posix_fadvise(file.fileno(), requested, AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
                requested += AHEAD_BYTES
            count = file.readinto(piece)
            if not count:
                return digest.hexdigest()
            digest.update(piece[:count])
            read += count
    raise CancelledError
