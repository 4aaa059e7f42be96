"""From a finished folder to the store: every file hashed, the manifest last; twice is the same as once."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.errors import StoreError
from tasks.files import digest_of, sha256_of
from tasks.manifests import broken_files, content_digest, files_below, read_manifest
from tasks.paths import MANIFEST
from tasks.records import Manifest, Value
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import (
    create_manifest,
    join,
    missing_files,
    read_remote_manifest,
    require_same_content,
)
from tasks.storage.stored_files import FILES_AT_ONCE, StoredFile, end_of

Known = Mapping[str, StoredFile]
# where a manifest in the store notes what tells its files from any that take their place
VERSIONS = "versions"
# of two large files of one size, weights or optimiser states mostly, the ends tell that they differ
END_BYTES = 1 << 16


class Archived(Value):
    """A folder that is whole in the store; `sent` tells how many of its files had to be sent for that."""

    uri: str
    sha256: str
    files: int
    size_bytes: int
    sent: int


def archive_folder(folder: Path, store: ObjectStore, prefix: str, stored: Callable[[], Known] = dict) -> Archived:
    """Copy a finished folder to `prefix` of the store, its manifest last.

    The same content there is left as it is (files that were lost since are sent again), and so is what the
    same inputs and settings made at another time. Anything else there raises StoreError, and so does a
    file that does not arrive as it left. `stored` tells files that the store has already, by SHA-256: these
    are copied inside the store. It is asked only when there is something to send.
    """
    there = read_remote_manifest(store, prefix)
    if there is None and folder.is_dir() and read_manifest(folder) is None:
        manifest, sent = _send_new(folder, store, prefix, stored())
    else:
        manifest = manifest_of(folder)
        if there is not None and _is_same_work(store, prefix, manifest, there):
            return _archived(store, prefix, there, sent=0)
        if there is not None:
            require_same_content(store, prefix, manifest, there)
        # without a manifest, what stands there may be of anything
        names = list(manifest.files) if there is None else missing_files(store, prefix, manifest)
        sent = _send_named(folder, store, prefix, manifest, names)
    store.drop_unfinished(prefix)
    create_manifest(store, prefix, manifest)
    return _archived(store, prefix, manifest, sent)


def _send_new(folder: Path, store: ObjectStore, prefix: str, known: Known) -> tuple[Manifest, int]:
    """Send a folder without a manifest, hashing its files on their way; the manifest, and how many were sent."""
    shown = shown_files(folder)
    files: dict[str, dict[str, Any]] = {}
    sent = 0
    # manifests among the files are sent when all others are there
    for manifests in (False, True):
        named = [(name, path) for name, path in shown if name.endswith(MANIFEST) == manifests]
        with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
            alike = pool.map(lambda pair: _may_be_known(pair[1], store, known), named)
            # those that are only read here come first: of the last ones, the parts are sent side by side
            order = sorted((not is_alike, *pair) for is_alike, pair in zip(alike, named, strict=True))
            done = pool.map(lambda one: _send_one(one[2], store, join(prefix, one[1]), {} if one[0] else known), order)
            for (_is_new, name, path), (sha256, was_sent) in zip(order, done, strict=True):
                files[name] = {"size": path.stat().st_size, "sha256": sha256}
                sent += was_sent
    versions = store.versions_below(prefix)
    known_again = {name: versions[key] for name in files if (key := join(prefix, name)) in versions}
    details = {VERSIONS: known_again} if known_again else {}
    return Manifest(fingerprint=_fingerprint(folder, files), files=files, details=details), sent


def _send_one(path: Path, store: ObjectStore, key: str, known: Known) -> tuple[str, bool]:
    """Put a file, by a copy of a known one where it is the same; its SHA-256, and whether it was sent."""
    if not known:
        return store.put_file(path, key), True
    sha256 = sha256_of(path)
    if sha256 in known and store.copy_file(known[sha256], key, sha256):
        return sha256, False
    return store.put_file(path, key, sha256), True


def _may_be_known(path: Path, store: ObjectStore, known: Known) -> bool:
    """Whether the store may have a file; a large one is read twice only where its end is the same."""
    size = path.stat().st_size
    alike = [file for file in known.values() if file.size == size and PurePosixPath(file.key).name == path.name]
    if not alike or size <= END_BYTES:
        return bool(alike)
    end = end_of(path, END_BYTES)
    return any(store.read_end(file, END_BYTES) == end for file in reversed(alike))


def _send_named(folder: Path, store: ObjectStore, prefix: str, manifest: Manifest, names: list[str]) -> int:
    """Send files of a manifest, the manifests among them last; how many there were."""
    for name in sorted(names, key=lambda name: name.endswith(MANIFEST)):
        store.put_file(folder / name, join(prefix, name), manifest.files[name]["sha256"])
    return len(names)


def shown_files(folder: Path) -> list[tuple[str, Path]]:
    """Names and places of a folder's files, manifests last; a dot in front marks half-made files and folders."""
    found = ((path.relative_to(folder).as_posix(), path) for path in files_below(folder))
    return sorted(
        ((name, path) for name, path in found if not _is_hidden(name)), key=lambda pair: pair[0].endswith(MANIFEST)
    )


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
        shown = {name: {"size": path.stat().st_size, "sha256": sha256_of(path)} for name, path in shown_files(folder)}
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
