"""The SHA-256 of large files, remembered per user, so that a base model is read and hashed once and not in every run.

A file is the same if its state is (`FileState`).
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tasks.files import read_json_object, sha256_of, state_of, write_json

# smaller files are hashed faster than an entry is written
LEAST_BYTES = 1 << 26


def known_or_computed(
    path: Path, compute: Callable[[Path], str] = sha256_of, now_ns: Callable[[], int] = time.time_ns
) -> str:
    """The SHA-256 of a file in hex: the remembered one if the file is unchanged since, or else that of `compute`."""
    state, folder = state_of(path), _folder()
    if folder is None or state.size < LEAST_BYTES:
        return compute(path)
    # not by path: links lead to the same file
    entry = folder / f"{state.device}-{state.inode}.json"
    found = _read(entry)
    if found.get("file") == state._asdict() and isinstance(found.get("sha256"), str):
        return str(found["sha256"])
    settled = state.is_settled(now_ns())
    sha256 = compute(path)
    if settled and state_of(path) == state:
        _remember(entry, {"file": state._asdict(), "sha256": sha256})
    return sha256


def _folder() -> Path | None:
    """Where the digests are; None for a user without a home."""
    # as the XDG specification says: a relative path is ignored
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (named if named.is_absolute() else Path.home() / ".cache") / "rsvlm" / "digests"
    except RuntimeError:
        return None


def _read(entry: Path) -> dict[str, Any]:
    try:
        return read_json_object(entry)
    except OSError:
        return {}


def _remember(entry: Path, content: dict[str, object]) -> None:
    # a container's user may not be allowed to write: the file is then hashed again
    with suppress(OSError):
        write_json(entry, content)
