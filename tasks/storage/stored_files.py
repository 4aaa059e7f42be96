"""Files as they stand in a store, and what tells them apart without reading all of them."""

from pathlib import Path
from typing import NamedTuple

# while one waits for the server, the parts of others are on their way
FILES_AT_ONCE = 3


class StoredFile(NamedTuple):
    """A file of the store; `version` tells it from any that takes its place, None where that is not known."""

    key: str
    size: int
    version: str | None


def end_of(path: Path, size_bytes: int) -> bytes:
    """The last bytes of a file."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size_bytes))
        return file.read()
