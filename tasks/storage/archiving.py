"""From a finished folder to the store: every file hashed, the manifest last; twice is the same as once."""

from pathlib import Path

from tasks.errors import StoreError
from tasks.files import digest_of
from tasks.records import Manifest, Value
from tasks.storage.manifests import content_digest, hashed_files, read_manifest
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


def archive_folder(folder: Path, store: ObjectStore, prefix: str) -> Archived:
    """Copy a finished folder to `prefix` of the store, its manifest last.

    The same content there is left as it is (files that were lost since are sent again); other content
    raises StoreError, and so does a file that does not arrive as it left.
    """
    manifest = _manifest_of(folder)
    there = read_remote_manifest(store, prefix)
    if there is None:
        names = list(manifest.files)
    else:
        require_same_content(store, prefix, manifest, there)
        names = missing_files(store, prefix, manifest)
    for name in names:
        store.put_file(folder / name, join(prefix, name), manifest.files[name]["sha256"])
    create_manifest(store, prefix, manifest)
    return Archived(
        uri=join(store.uri, prefix),
        sha256=content_digest(manifest),
        files=len(manifest.files),
        size_bytes=sum(entry["size"] for entry in manifest.files.values()),
        sent=len(names),
    )


def _manifest_of(folder: Path) -> Manifest:
    """The manifest as the folder is now, with the fingerprint that it was finished with, where it has one."""
    if not folder.is_dir():
        raise StoreError(f"{folder} does not exist: give a finished folder.")
    files, finished = hashed_files(folder), read_manifest(folder)
    if finished is None:
        return Manifest(fingerprint=digest_of(files), files=files)
    if finished.files != files:
        raise StoreError(f"{folder} is not as it was finished: make it again before it is archived.")
    return finished
