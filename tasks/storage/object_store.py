"""Object storage as rsvlm needs it: whole files under keys, and a manifest that is created once."""

from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from tasks.errors import StoreError
from tasks.storage.local_store import LocalStore


class ObjectStore(Protocol):
    """A folder of a file system or a prefix of a bucket; keys are relative to it and use "/".

    Every method raises StoreError, with what to do, when the store cannot be reached or refuses.
    """

    @property
    def uri(self) -> str:
        """The store's own address, without a trailing slash and without anything secret."""
        ...

    def put_file(self, source: Path, key: str, sha256: str) -> None:
        """Put a file whole or not at all; StoreError when what arrived is not of this SHA-256."""
        ...

    def get_file(self, key: str, target: Path, sha256: str) -> None:
        """Get a file whole or not at all; StoreError when what arrived is not of this SHA-256."""
        ...

    def hash_of(self, key: str) -> str | None:
        """The SHA-256 of the stored bytes, every one of them read; None when there is no such key."""
        ...

    def sizes_below(self, folder: str) -> dict[str, int]:
        """Sizes in bytes of all files below a folder ("" for all), by key."""
        ...

    def read_text(self, key: str) -> str | None:
        """A small text file, or None when there is no such key."""
        ...

    def create_text(self, key: str, text: str) -> bool:
        """Write a small text file only if there is none of this key; False when there is."""
        ...

    def delete(self, key: str) -> None:
        """Remove a file; nothing happens when there is no such key."""
        ...


def open_store(uri: str, endpoint_url: str | None = None) -> ObjectStore:
    """The store of `file:///folder`, `s3://bucket/prefix` or the path of an existing folder.

    `endpoint_url` is the address of an S3-compatible server; None: AWS, or what boto3's settings say.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3" and parts.netloc:
        from tasks.storage.s3_store import S3Store

        return S3Store(parts.netloc, parts.path.strip("/"), endpoint_url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return LocalStore(Path(unquote(parts.path)))
    if uri and not parts.scheme and Path(uri).is_dir():
        return LocalStore(Path(uri).absolute())
    raise StoreError(f"{uri!r} is no store: give file:///folder, s3://bucket/prefix or the path of an existing folder.")
