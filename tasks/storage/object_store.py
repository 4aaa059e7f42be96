"""Object storage as rsvlm needs it: whole files under keys, and a manifest that is created once."""

from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from tasks.errors import StoreError
from tasks.secret_addresses import without_secrets
from tasks.settings import StoreConfig
from tasks.storage.credentials import Credentials
from tasks.storage.local_store import LocalStore
from tasks.storage.stored_files import StoredFile


class ObjectStore(Protocol):
    """A folder of a file system or a prefix of a bucket; keys are relative to it and use "/".

    Every method raises StoreError, with what to do, when the store cannot be reached or refuses.
    """

    @property
    def uri(self) -> str:
        """The store's own address, without a trailing slash and without anything secret."""
        ...

    def put_file(self, source: Path, key: str, sha256: str | None = None) -> str:
        """Put a file whole or not at all and return its SHA-256; StoreError when it is not the one that is given."""
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

    def copy_file(self, source: StoredFile, key: str, sha256: str) -> bool:
        """Copy a stored file inside the store; False, and nothing at `key`, when it is not of this SHA-256.

        A file that is still of the version that it had when it was found whole is that one.
        """
        ...

    def read_end(self, source: StoredFile, size_bytes: int) -> bytes | None:
        """The last bytes of a stored file; None when it is not there with its size."""
        ...

    def versions_below(self, folder: str) -> dict[str, str]:
        """What tells each file below a folder from any that takes its place, by key; none where a store cannot tell."""
        ...

    def drop_unfinished(self, folder: str) -> None:
        """Remove what uploads below a folder left that were broken off; it is in no listing."""
        ...

    def delete(self, key: str) -> None:
        """Remove a file; nothing happens when there is no such key."""
        ...


def open_store(
    uri: str,
    endpoint_url: str | None = None,
    config: StoreConfig | None = None,
    credentials: Credentials | None = None,
) -> ObjectStore:
    """The store of `file:///folder`, `s3://bucket/prefix` or the path of an existing folder.

    `endpoint_url` is the address of an S3-compatible server where `config` is not given; None: AWS, or what boto3's
    settings say. `credentials` None: those of boto3's usual chain.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3" and parts.netloc and not ("@" in parts.netloc or parts.query or parts.fragment):
        from tasks.storage.s3_store import S3Store

        try:
            how = config or StoreConfig(endpoint_url=endpoint_url)
        except ValidationError:
            shown = without_secrets(endpoint_url or "")
            raise StoreError(
                f"{shown!r} is no address of a server: give http:// or https://, without a login."
            ) from None
        return S3Store(parts.netloc, parts.path.strip("/"), how, credentials)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return LocalStore(Path(unquote(parts.path)))
    if uri and not parts.scheme:
        if Path(uri).is_dir():
            return LocalStore(Path(uri).absolute())
        raise StoreError(f"There is no folder {uri}: give that of a store, a run or a checkpoint, or an address.")
    raise StoreError(
        f"{without_secrets(uri)!r} is no store: give file:///folder or s3://bucket/prefix, without a login, or the "
        "path of an existing folder."
    )
