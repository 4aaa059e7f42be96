"""A store in a folder of a file system, with the same guarantees as one in a bucket."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import SplitResult, unquote
from uuid import uuid4

from tasks.errors import StoreError
from tasks.files import (
    CHUNK_BYTES,
    link_or_copy,
    read_tail,
    remove_half_written,
    sha256_of,
    write_text,
    written_atomically,
)
from tasks.settings import StoreConfig
from tasks.storage.object_store import Credentials, StoredFile

ADVICE: dict[int | None, str] = {
    errno.ENOSPC: "its disk is full: free space there",
    errno.EDQUOT: "its disk is full for you: free space there, or have your quota raised",
    errno.EACCES: "access is denied: give this user the right to read and write there",
    errno.EPERM: "access is denied: give this user the right to read and write there",
    errno.EROFS: "it can only be read: mount it writable",
}


class LocalStore:
    """Files under `root`, which is created with the first file."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def uri(self) -> str:
        return self.root.as_uri()

    def put_file(self, source: Path, key: str, sha256: str | None = None) -> str:
        with self._store_errors(key), written_atomically(self.root / key) as part:
            found = _copy_hashed(source, part)
            _require_hash(found, sha256 or found, f"{source} changed while it was copied to {key}")
        return found

    def get_file(self, key: str, target: Path, sha256: str) -> None:
        with self._store_errors(key), written_atomically(target) as part:
            _require_hash(_copy_hashed(self.root / key, part), sha256, f"{self.uri}/{key} is damaged")

    def hash_of(self, key: str) -> str | None:
        with self._store_errors(key):
            return sha256_of(self.root / key) if (self.root / key).is_file() else None

    def sizes_below(self, folder: str) -> dict[str, int]:
        if not self.root.is_dir():
            raise StoreError(f"The store {self.root} does not exist: give the folder of an existing store.")
        with self._store_errors(folder):
            return {
                path.relative_to(self.root).as_posix(): path.stat().st_size
                for path in sorted((self.root / folder).rglob("*"))
                if path.is_file() and not _is_unfinished(path)
            }

    def read_text(self, key: str) -> str | None:
        file = self.root / key
        with self._store_errors(key):
            # as from a bucket: the reader reports a text that is not UTF-8, and is therefore damaged, by name
            return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None

    def create_text(self, key: str, text: str) -> bool:
        target = self.root / key
        part = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part")
        with self._store_errors(key):
            write_text(part, text)
            try:
                return _renamed_if_new(part, target)
            finally:
                part.unlink(missing_ok=True)

    def copy_file(self, source: StoredFile, key: str, sha256: str) -> bool:
        with self._store_errors(key):
            if not (self.root / source.key).is_file() or sha256_of(self.root / source.key) != sha256:
                return False
            # a stored file is never modified, so that two keys may be links to one file
            with written_atomically(self.root / key) as part:
                part.unlink()
                link_or_copy(self.root / source.key, part)
        return True

    def read_tail(self, source: StoredFile, size_bytes: int) -> bytes | None:
        path = self.root / source.key
        with self._store_errors(source.key):
            return read_tail(path, size_bytes) if path.is_file() and path.stat().st_size == source.size else None

    def versions_below(self, folder: str) -> dict[str, str]:
        # only reading the bytes on a disk shows whether they are still the same
        return {}

    def drop_unfinished(self, folder: str) -> None:
        with self._store_errors(folder):
            remove_half_written(self.root / folder)

    def delete(self, key: str) -> None:
        with self._store_errors(key):
            (self.root / key).unlink(missing_ok=True)

    @contextmanager
    def _store_errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            advice = ADVICE.get(getattr(error, "errno", None), "repair it")
            raise StoreError(
                f"The store {self.root} failed at {key or 'its listing'} ({error}): {advice}, and try again."
            ) from error


def open_folder(
    address: SplitResult, _config: StoreConfig, _credentials: Credentials | None = None
) -> LocalStore | None:
    """The store of a file:///folder address; None for an address with a host or without an absolute path."""
    is_path = not address.netloc and address.path.startswith("/")
    return LocalStore(Path(unquote(address.path))) if is_path else None


def _is_unfinished(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".part")


def _copy_hashed(source: Path, target: Path) -> str:
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            digest.update(chunk)
            writer.write(chunk)
    return digest.hexdigest()


def _require_hash(found: str, expected: str, what: str) -> None:
    if found != expected:
        raise StoreError(f"{what}: its SHA-256 is {found[:12]}..., not {expected[:12]}...; store it again.")


def _renamed_if_new(part: Path, target: Path) -> bool:
    """Give `part` its final name unless that is taken; only a hard link does both atomically."""
    try:
        os.link(part, target)
    except FileExistsError:
        return False
    except OSError:
        # no hard links here (FAT, some network shares): not atomic, but there is no better way
        if target.exists():
            return False
        part.replace(target)
    return True
