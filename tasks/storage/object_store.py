"""The interface of object stores, with complete files under keys, and opening one by its address."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import NamedTuple, Protocol, cast
from urllib.parse import SplitResult, urlsplit

from pydantic import ValidationError

from tasks.errors import StoreError
from tasks.secret_addresses import without_secrets
from tasks.settings import StoreConfig
from tasks.store_kinds import STORES, store_examples

# delays before a failed access to a store is retried, in seconds
RETRY_DELAYS_S = [2.0, 10.0, 60.0]
# while one file waits for the server, parts of the others are sent
CONCURRENT_FILES = 3


class StoredFile(NamedTuple):
    """A file in a store; `size` in bytes, `version` identifies its bytes or is None if the store cannot tell."""

    key: str
    size: int
    version: str | None


@dataclass(frozen=True)
class Credentials:
    """Keys of an object store, named as AWS does; they appear in no message, log or parameter."""

    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str | None = None
    profile: str | None = None

    def as_session(self) -> dict[str, str | None]:
        """Arguments of a boto3 session."""
        return {
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key,
            "aws_session_token": self.session_token,
            "region_name": self.region,
            "profile_name": self.profile,
        }

    def as_environment(self) -> dict[str, str]:
        """Environment variables in which AWS tools find the keys, for a child process."""
        names = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_SESSION_TOKEN": self.session_token,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_PROFILE": self.profile,
        }
        return {name: value for name, value in names.items() if value}


class ObjectStore(Protocol):
    """A folder of a file system or a prefix of a bucket; keys are relative to it and use "/".

    Every method raises StoreError, with what to do, when the store cannot be reached or refuses.
    """

    @property
    def uri(self) -> str:
        """The address of the store, without a trailing slash and without secrets."""
        ...

    def put_file(self, source: Path, key: str, sha256: str | None = None) -> str:
        """Store a file completely or not at all and return its SHA-256; StoreError if it differs from `sha256`."""
        ...

    def get_file(self, key: str, target: Path, sha256: str) -> None:
        """Get a file completely or not at all, with its parent folders; StoreError if its SHA-256 differs."""
        ...

    def hash_of(self, key: str) -> str | None:
        """The SHA-256 of the stored bytes, all of which are read; None if there is no such key."""
        ...

    def sizes_below(self, folder: str) -> dict[str, int]:
        """Sizes in bytes of all files under a folder ("" for all), by key."""
        ...

    def read_text(self, key: str) -> str | None:
        """The content of a small text file; None if there is no such key."""
        ...

    def create_text(self, key: str, text: str) -> bool:
        """Write a small text file only if the key is free; False if it is taken."""
        ...

    def copy_file(self, source: StoredFile, key: str, sha256: str) -> bool:
        """Copy a stored file inside the store; False, and no file at `key`, if its SHA-256 is not `sha256`.

        A file that still has its `version` is taken to have the SHA-256 that it had when it was verified.
        """
        ...

    def read_tail(self, source: StoredFile, size_bytes: int) -> bytes | None:
        """The last bytes of a stored file; None if there is no file of its size."""
        ...

    def versions_below(self, folder: str) -> dict[str, str]:
        """A version for each file under a folder, by key: other bytes have another version. Empty if unsupported."""
        ...

    def drop_unfinished(self, folder: str) -> None:
        """Remove the parts of interrupted uploads under a folder; no listing shows them."""
        ...

    def delete(self, key: str) -> None:
        """Remove a file; nothing happens if there is no such key."""
        ...


# Opens the store of a split address with its settings and, if given, credentials; None for an invalid address.
Opener = Callable[[SplitResult, StoreConfig, Credentials | None], ObjectStore | None]


def open_store(
    uri: str,
    endpoint_url: str | None = None,
    config: StoreConfig | None = None,
    credentials: Credentials | None = None,
) -> ObjectStore:
    """Open the store at an address of one of the kinds in STORES, or at the path of an existing folder.

    `endpoint_url` is the address of an S3-compatible server if `config` is not given; None: AWS, or boto3's own
    settings. `credentials` None: boto3's usual chain. Raises StoreError for any other address.
    """
    parts = urlsplit(uri)
    if uri and not parts.scheme:
        if not Path(uri).is_dir():
            raise StoreError(f"There is no folder {uri}: give that of a store, a run or a checkpoint, or an address.")
        parts = urlsplit(Path(uri).absolute().as_uri())
    if kind := STORES.get(parts.scheme):
        opener = cast("Opener", resolve_name(kind.opener))
        if store := opener(parts, config or _settings(endpoint_url), credentials):
            return store
    raise StoreError(
        f"{without_secrets(uri)!r} is not a store: give {store_examples()}, without a login, or the path of an "
        "existing folder."
    )


def _settings(endpoint_url: str | None) -> StoreConfig:
    try:
        return StoreConfig(endpoint_url=endpoint_url)
    except ValidationError:
        shown = without_secrets(endpoint_url or "")
        raise StoreError(f"{shown!r} is not a server's address: give http:// or https://, without a login.") from None
