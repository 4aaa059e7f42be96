"""The checkpoints of a store: which there are, whether they are whole, and one of them back."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tasks.errors import StoreError
from tasks.records import Manifest, Value
from tasks.storage.checkpoints.paths import CheckpointPath, checkpoint_paths
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import (
    damaged_files,
    join,
    missing_files,
    pull_folder,
    read_remote_manifest,
)

Check = Callable[[ObjectStore, str, Manifest], list[str]]


class StoredCheckpoint(Value):
    """One line of `rsvlm checkpoints list`; `whole` is false when a file is missing or damaged."""

    run: str
    step: int
    uri: str
    files: int
    bytes: int
    whole: bool


def list_checkpoints(store: ObjectStore) -> Iterator[StoredCheckpoint]:
    """All checkpoints, whole when every file is there with its size."""
    return (_checked(store, place, missing_files) for place in checkpoint_paths(store))


def verify_checkpoints(store: ObjectStore) -> Iterator[StoredCheckpoint]:
    """All checkpoints, whole when every byte of every file is as it was stored."""
    return (_checked(store, place, damaged_files) for place in checkpoint_paths(store))


def _checked(store: ObjectStore, place: CheckpointPath, check: Check) -> StoredCheckpoint:
    found = StoredCheckpoint(
        run=_shown(place.run), step=place.step, uri=_shown(join(store.uri, place.folder)), files=0, bytes=0, whole=False
    )
    try:
        manifest = read_remote_manifest(store, place.folder)
        if manifest is None:
            return found
        sizes = [entry["size"] for entry in manifest.files.values()]
        found = found.model_copy(update={"files": len(sizes), "bytes": sum(sizes)})
        broken = check(store, place.folder, manifest)
    except StoreError as error:
        print(f"{found.uri}: {error}", file=sys.stderr)
        return found
    if broken:
        print(f"{found.uri}: missing or damaged: {', '.join(broken)}", file=sys.stderr)
    return found.model_copy(update={"whole": not broken})


def _shown(name: str) -> str:
    """A name that can be printed: of a file system it may hold bytes that are no text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def pull_checkpoint(store: ObjectStore, out: Path) -> Path:
    """Get the checkpoint that the store was opened at, or a run's newest whole one, as OUT/checkpoint-N.

    Raises StoreError when there is none, when several runs lie below, or when a file arrives damaged.
    """
    places = checkpoint_paths(store)
    if not places:
        raise StoreError(f"There is no checkpoint below {store.uri}: `rsvlm checkpoints list` shows what there is.")
    runs = sorted({place.run for place in places})
    if len(runs) > 1:
        raise StoreError(f"{store.uri} holds several runs ({', '.join(runs)}): give the address of one of them.")
    for place in reversed(places):
        if _checked(store, place, missing_files).whole:
            pull_folder(store, place.folder, out / f"checkpoint-{place.step}")
            return out / f"checkpoint-{place.step}"
    raise StoreError(f"No checkpoint below {store.uri} is whole: `rsvlm checkpoints verify` names what is missing.")
