"""The files that the server gives out: each visitor's uploads and their previews, and the shared examples."""

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
    """Which file of the server's folder belongs to which visitor; shared files belong to all.

    Uploads are deleted after two hours, and the oldest when there are more than 10,000.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        # path -> visitor and the time of the upload
        self._owners: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._lock = Lock()
        self._shared: set[str] = set()

    def share_existing(self) -> None:
        """Give all visitors access to the files that are in the folder now: the examples."""
        self._shared = {str(path) for path in self._folder.rglob("*") if path.is_file()}

    def may_read(self, visitor: str, path: str) -> bool:
        """Whether a visitor may read a file; `path` must be exactly as it was handed out."""
        return path in self._shared or self._owners.get(path, ("", 0.0))[0] == visitor

    def add(self, visitor: str, name: str, write: Callable[[BinaryIO], object]) -> str:
        """Create a file that `write` fills; returns its path, which nobody can guess."""
        path = self._folder / secrets.token_urlsafe(16) / safe_name(name)
        path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            write(file)
        with self._lock:
            self._owners[str(path)] = visitor, time.monotonic()
        self.delete_old()
        return str(path)

    def delete_old(self) -> None:
        """Delete uploads beyond the limits of age and number."""
        with self._lock:
            while self._owners and (len(self._owners) > MAX_UPLOADS or self._is_oldest_expired()):
                Path(self._owners.popitem(last=False)[0]).unlink(missing_ok=True)

    def _is_oldest_expired(self) -> bool:
        _, since = next(iter(self._owners.values()))
        return time.monotonic() - since >= KEPT_S


def safe_name(name: str) -> str:
    """A file name without anything that a file system, a header or a page could interpret."""
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = re.sub(r"[^\w.\- ]", "", last).lstrip(". ")
    # the end of a long name holds the suffix
    return plain.encode()[-NAME_BYTES:].decode(errors="ignore").lstrip(". ") or "image"
