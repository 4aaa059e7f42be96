"""The files that the server gives out: each visitor's own uploads and pictures of them, and the examples."""

import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

MAX_UPLOADS = 10_000
NAME_BYTES = 120


class Uploads:
    """Which file of the server's folder belongs to which visitor; `shared` files belong to all.

    The oldest are forgotten, and deleted, when there are 10,000.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._owners: OrderedDict[str, str] = OrderedDict()
        self._shared: set[str] = set()

    def share(self) -> None:
        """Let all visitors have what is in the folder now: the examples."""
        self._shared = {str(path) for path in self._folder.rglob("*") if path.is_file()}

    def is_for(self, visitor: str, path: str) -> bool:
        """Whether a visitor may have a file, named exactly as it was when it was handed out."""
        return path in self._shared or self._owners.get(path) == visitor

    def keep(self, visitor: str, name: str, write: Callable[[BinaryIO], object]) -> str:
        """The path of a new file, which `write` fills, under a name that nobody guesses."""
        path = self._folder / secrets.token_urlsafe(16) / plain_name(name)
        path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            write(file)
        self._owners[str(path)] = visitor
        while len(self._owners) > MAX_UPLOADS:
            Path(self._owners.popitem(last=False)[0]).unlink(missing_ok=True)
        return str(path)


def plain_name(name: str) -> str:
    """A file's name without what a file system, a header or a page could take for more than a name."""
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = re.sub(r"[^\w.\- ]", "", last).lstrip(". ")
    # the end: it tells what kind of file it is
    return plain.encode()[-NAME_BYTES:].decode(errors="ignore").lstrip(". ") or "image"
