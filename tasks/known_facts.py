"""Facts about large files, remembered per user, so that a file is read once and not in every run.

A file is the same if its state is (`FileState`).
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tasks.files import FileState, digest_of, read_json_object, state_of, written_atomically

Facts = dict[str, Any]


class Memory(NamedTuple):
    """Facts of one kind, in a folder of their own; those of files below `least_bytes` are computed faster than read."""

    folder: str
    least_bytes: int
    is_usable: Callable[[Mapping[str, Any]], bool]


def known_or_computed(
    path: Path, memory: Memory, compute: Callable[[], Facts], now_ns: Callable[[], int] = time.time_ns
) -> Facts:
    """The facts of a file: those remembered, if they are usable and the file is unchanged since, or else computed.

    What `compute` returns empty is not remembered.
    """
    state, folder = _state(path), _folder(memory.folder)
    if state is None or folder is None or state.size < memory.least_bytes:
        return compute()
    # not by path: links lead to the same file
    entry = folder / f"{state.device}-{state.inode}.json"
    known = _read(entry, state)
    if memory.is_usable(known):
        return known
    settled = state.is_settled(now_ns())
    facts = compute()
    if facts and settled and _state(path) == state:
        _remember(entry, state, facts)
    return facts


def _state(path: Path) -> FileState | None:
    try:
        return state_of(path)
    except (OSError, ValueError):
        # what is wrong with it is for those to say who read it
        return None


def _folder(name: str) -> Path | None:
    """Where facts of a kind are; None for a user without a home."""
    # as the XDG specification says: a relative path is ignored
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (named if named.is_absolute() else Path.home() / ".cache") / "rsvlm" / name
    except RuntimeError:
        return None


def _read(entry: Path, state: FileState) -> Facts:
    """The facts of an entry about a file in this state; empty if there are none."""
    try:
        found = read_json_object(entry)
    except OSError:
        return {}
    facts = found.get("facts")
    return facts if isinstance(facts, dict) and found.get("digest") == _digest(state, facts) else {}


def _remember(entry: Path, state: FileState, facts: Facts) -> None:
    # A container's user may not be allowed to write: the file is then read again, as after a power cut, which may leave
    # half an entry.
    with suppress(OSError), written_atomically(entry, synced=False) as part:
        part.write_text(json.dumps({"facts": facts, "digest": _digest(state, facts)}), encoding="utf-8")


def _digest(state: FileState, facts: Facts) -> str:
    return digest_of([state, facts])
