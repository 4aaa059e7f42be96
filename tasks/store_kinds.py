"""The kinds of object stores. A new kind is one module with a store and its opener, and one entry here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StoreKind:
    """A kind of store, by the scheme of its addresses.

    `example` shows an address, the regular expression `pattern` matches one, and `opener` names the function that
    opens it as "module:function"; it is imported on first use. See `tasks.storage.object_store.Opener`.
    """

    example: str
    pattern: str
    opener: str


STORES = {
    "file": StoreKind("file:///folder", r"file:///", "tasks.storage.local_store:open_folder"),
    "s3": StoreKind("s3://bucket/prefix", r"s3://[a-z0-9][a-z0-9.-]+(/[^?#]*)?$", "tasks.storage.s3_store:open_bucket"),
}


def store_examples() -> str:
    """Example addresses of all kinds, for messages and help texts."""
    return " or ".join(kind.example for kind in STORES.values())


def store_pattern() -> str:
    """A regular expression that matches the addresses of all kinds."""
    return f"^({'|'.join(kind.pattern for kind in STORES.values())})"
