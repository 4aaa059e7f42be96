"""The files that the server gives out: each visitor's own uploads and pictures of them, and the examples."""

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import BinaryIO

MAX_UPLOADS, KEPT_S = 10_000, 7200
NAME_BYTES = 120


class Uploads:
    """Which file of the server's folder belongs to which visitor; `shared` files belong to all.

    They are forgotten, and deleted, after two hours, and the oldest when there are 10,000.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        # who has a file, and since when
        self._owners: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._lock = Lock()
        self._shared: set[str] = set()

    def share(self) -> None:
        """Let all visitors have what is in the folder now: the examples."""
        self._shared = {str(path) for path in self._folder.rglob("*") if path.is_file()}

    def is_for(self, visitor: str, path: str) -> bool:
        """Whether a visitor may have a file, named exactly as it was when it was handed out."""
        return path in self._shared or self._owners.get(path, ("", 0.0))[0] == visitor

    def keep(self, visitor: str, name: str, write: Callable[[BinaryIO], object]) -> str:
        """The path of a new file, which `write` fills, under a name that nobody guesses."""
        path = self._folder / secrets.token_urlsafe(16) / plain_name(name)
        path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            write(file)
        with self._lock:
            self._owners[str(path)] = visitor, time.monotonic()
        self.forget_old()
        return str(path)

    def forget_old(self) -> None:
        """Delete what is old or too much."""
        with self._lock:
            while self._owners and (len(self._owners) > MAX_UPLOADS or self._is_oldest_old()):
                Path(self._owners.popitem(last=False)[0]).unlink(missing_ok=True)

    def _is_oldest_old(self) -> bool:
        _, since = next(iter(self._owners.values()))
        return time.monotonic() - since >= KEPT_S


def plain_name(name: str) -> str:
    """A file's name without what a file system, a header or a page could take for more than a name."""
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = re.sub(r"[^\w.\- ]", "", last).lstrip(". ")
    # the end: it tells what kind of file it is
    return plain.encode()[-NAME_BYTES:].decode(errors="ignore").lstrip(". ") or "image"
