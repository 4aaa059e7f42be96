"""From a finished folder to the store: every file hashed, the manifest last; twice is the same as once."""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.errors import StoreError
from tasks.files import digest_of
from tasks.paths import MANIFEST
from tasks.records import Manifest, Value
from tasks.storage.manifests import broken_files, content_digest, hashed_files, read_manifest
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import (
    create_manifest,
    join,
    missing_files,
    read_remote_manifest,
    require_same_content,
)


class Archived(Value):
    """A folder that is whole in the store; `sent` tells how many of its files had to be sent for that."""

    uri: str
    sha256: str
    files: int
    size_bytes: int
    sent: int


def archive_folder(
    folder: Path, store: ObjectStore, prefix: str, stored: Callable[[], Mapping[str, str]] = dict
) -> Archived:
    """Copy a finished folder to `prefix` of the store, its manifest last.

    The same content there is left as it is (files that were lost since are sent again), and so is what the
    same inputs and settings made at another time. Anything else there raises StoreError, and so does a
    file that does not arrive as it left. `stored` tells the keys of files that the store has already, by SHA-256:
    these are copied inside the store. It is asked only when there is something to send.
    """
    manifest = manifest_of(folder)
    there = read_remote_manifest(store, prefix)
    if there is not None and _is_same_work(store, prefix, manifest, there):
        return _archived(store, prefix, there, sent=0)
    if there is None:
        names = sorted(manifest.files, key=lambda name: name.endswith(MANIFEST))
    else:
        require_same_content(store, prefix, manifest, there)
        names = missing_files(store, prefix, manifest)
    known = stored()
    sent = [_bring(folder / name, store, join(prefix, name), manifest.files[name]["sha256"], known) for name in names]
    store.drop_unfinished(prefix)
    create_manifest(store, prefix, manifest)
    return _archived(store, prefix, manifest, sent=sum(sent))


def _bring(path: Path, store: ObjectStore, key: str, sha256: str, known: Mapping[str, str]) -> bool:
    """Put a file in the store, by a copy of one that is there or by sending it; whether it had to be sent."""
    if sha256 in known and store.copy_file(known[sha256], key, sha256):
        return False
    store.put_file(path, key, sha256)
    return True


def _is_same_work(store: ObjectStore, prefix: str, manifest: Manifest, there: Manifest) -> bool:
    """Whether the store holds all of what the same inputs made; times and the like may differ inside."""
    return there.fingerprint == manifest.fingerprint and not missing_files(store, prefix, there)


def _archived(store: ObjectStore, prefix: str, manifest: Manifest, sent: int) -> Archived:
    return Archived(
        uri=join(store.uri, prefix),
        sha256=content_digest(manifest),
        files=len(manifest.files),
        size_bytes=sum(entry["size"] for entry in manifest.files.values()),
        sent=sent,
    )


def manifest_of(folder: Path) -> Manifest:
    """The folder's own manifest, or one of its visible files as they are now; every byte is read.

    Raises StoreError when there is no such folder, or one that is not as it was finished.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder} does not exist: give a finished folder.")
    finished = read_manifest(folder)
    if finished is None:
        # names with a dot in front are marks and half-made files of a folder at work
        shown = {name: entry for name, entry in hashed_files(folder).items() if not _is_hidden(name)}
        return Manifest(fingerprint=_fingerprint(folder, shown), files=shown)
    if broken := broken_files(folder, finished):
        raise StoreError(f"{folder} is not as it was finished ({broken[0]}): make it again before it is archived.")
    return finished


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _fingerprint(folder: Path, files: dict[str, dict[str, Any]]) -> str:
    """What made the folder: the fingerprints of the finished folders in it, or else its content."""
    parts = {
        name: manifest.fingerprint
        for name in files
        if name.endswith(f"/{MANIFEST}") and (manifest := read_manifest((folder / name).parent))
    }
    return digest_of(parts or files)
