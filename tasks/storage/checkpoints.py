"""The checkpoints of a store: which there are, whether they are whole, and one of them back."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tasks.errors import StoreError
from tasks.records import Manifest, Value
from tasks.storage.object_store import ObjectStore
from tasks.storage.places import Place, places_below
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
    return (_checked(store, place, missing_files) for place in places_below(store))


def verify_checkpoints(store: ObjectStore) -> Iterator[StoredCheckpoint]:
    """All checkpoints, whole when every byte of every file is as it was stored."""
    return (_checked(store, place, damaged_files) for place in places_below(store))


def _checked(store: ObjectStore, place: Place, check: Check) -> StoredCheckpoint:
    run, step, _number, folder = place
    uri = join(store.uri, folder)
    try:
        manifest = read_remote_manifest(store, folder)
    except StoreError as error:
        print(f"{uri}: {error}", file=sys.stderr)
        manifest = None
    if manifest is None:
        return StoredCheckpoint(run=run, step=step, uri=uri, files=0, bytes=0, whole=False)
    broken = check(store, folder, manifest)
    if broken:
        print(f"{uri}: missing or damaged: {', '.join(broken)}", file=sys.stderr)
    return StoredCheckpoint(
        run=run,
        step=step,
        uri=uri,
        files=len(manifest.files),
        bytes=sum(entry["size"] for entry in manifest.files.values()),
        whole=not broken,
    )


def pull_checkpoint(store: ObjectStore, out: Path) -> Path:
    """Get the checkpoint that the store was opened at, or a run's newest whole one, as OUT/checkpoint-N.

    Raises StoreError when there is none, when several runs lie below, or when a file arrives damaged.
    """
    places = places_below(store)
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
