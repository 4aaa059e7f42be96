"""Facts about large files, remembered per user, so that a file is read once and not in every run.

A file is the same if its state is (`FileState`).
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tasks.files import FileState, read_json_object, state_of, write_json

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
    found = _read(entry)
    if found.pop("file", None) == state._asdict() and memory.is_usable(found):
        return found
    settled = state.is_settled(now_ns())
    facts = compute()
    if facts and settled and _state(path) == state:
        _remember(entry, {"file": state._asdict(), **facts})
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


def _read(entry: Path) -> Facts:
    try:
        return read_json_object(entry)
    except OSError:
        return {}


def _remember(entry: Path, content: Facts) -> None:
    # a container's user may not be allowed to write: the file is then read again
    with suppress(OSError):
        write_json(entry, content, indent=None)
