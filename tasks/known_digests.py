"""The SHA-256 of large files, remembered per user, so that a base model is hashed once and not in every run."""

import time
from collections.abc import Callable
from pathlib import Path

from tasks.files import sha256_of
from tasks.known_facts import Memory, known_or_computed

# smaller files are hashed faster than an entry is written
DIGESTS = Memory("digests", 1 << 26, lambda facts: isinstance(facts.get("sha256"), str))


def known_sha256(
    path: Path, compute: Callable[[Path], str] = sha256_of, now_ns: Callable[[], int] = time.time_ns
) -> str:
    """The SHA-256 of a file in hex: the remembered one if the file is unchanged since, or else that of `compute`."""
    return str(known_or_computed(path, DIGESTS, lambda: {"sha256": compute(path)}, now_ns)["sha256"])
