"""Copy a finished folder to the store: every file hashed, the manifest last. Repeating it changes nothing."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from tasks.errors import StoreError
from tasks.files import digest_of, read_tail, sha256_of
from tasks.manifests import FileEntry, broken_files, content_digest, files_below, read_manifest
from tasks.paths import MANIFEST
from tasks.records import Manifest, Value
from tasks.storage.object_store import CONCURRENT_FILES, ObjectStore, StoredFile
from tasks.storage.remote_folders import (
    create_manifest,
    join,
    missing_files,
    read_remote_manifest,
    require_same_content,
)

Known = Mapping[str, StoredFile]
# key in the details of a manifest in the store: the version of each file, by name
VERSIONS = "versions"
# large files of one size, such as weights or optimizer states, differ in their last bytes
TAIL_BYTES = 1 << 16


class Archived(Value):
    """A folder that is complete in the store; `sent` is the number of files that had to be sent."""

    uri: str
    sha256: str
    files: int
    size_bytes: int
    sent: int


def archive_folder(folder: Path, store: ObjectStore, prefix: str, stored: Callable[[], Known] = dict) -> Archived:
    """Copy a finished folder to `prefix` of the store, its manifest last.

    A folder there with the same content is left unchanged, except that lost files are sent again. So is a folder
    that the same inputs and settings produced at another time. Any other folder there raises StoreError, and so does
    a file that is damaged in transit. `stored` returns the files that the store already has, by SHA-256: they are
    copied inside the store. It is called only if there is something to send.
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
        # without a manifest there, its files may belong to anything
        names = list(manifest.files) if there is None else missing_files(store, prefix, manifest)
        sent = _send_named(folder, store, prefix, manifest, names)
    store.drop_unfinished(prefix)
    create_manifest(store, prefix, manifest)
    return _archived(store, prefix, manifest, sent)


def _send_new(folder: Path, store: ObjectStore, prefix: str, known: Known) -> tuple[Manifest, int]:
    """Send a folder without a manifest and hash its files meanwhile; returns the manifest and the number sent."""
    visible = visible_files(folder)
    files: dict[str, FileEntry] = {}
    sent = 0
    # manifests among the files are sent after all others
    for manifests in (False, True):
        named = [(name, path) for name, path in visible if name.endswith(MANIFEST) == manifests]
        with ThreadPoolExecutor(CONCURRENT_FILES) as pool:
            alike = pool.map(lambda pair: _may_be_known(pair[1], store, known), named)
            # files that are only hashed come first, so that the parts of the last ones are sent in parallel
            queue = sorted((not is_alike, *pair) for is_alike, pair in zip(alike, named, strict=True))
            done = pool.map(lambda one: _send_one(one[2], store, join(prefix, one[1]), {} if one[0] else known), queue)
            for (_is_new, name, path), (sha256, was_sent) in zip(queue, done, strict=True):
                files[name] = {"size": path.stat().st_size, "sha256": sha256}
                sent += was_sent
    versions = store.versions_below(prefix)
    versions_by_name = {name: versions[key] for name in files if (key := join(prefix, name)) in versions}
    details = {VERSIONS: versions_by_name} if versions_by_name else {}
    return Manifest(fingerprint=_fingerprint(folder, files), files=files, details=details), sent


def _send_one(path: Path, store: ObjectStore, key: str, known: Known) -> tuple[str, bool]:
    """Put a file, or copy a known one with the same content; returns its SHA-256 and whether it was sent."""
    if not known:
        return store.put_file(path, key), True
    sha256 = sha256_of(path)
    if sha256 in known and store.copy_file(known[sha256], key, sha256):
        return sha256, False
    return store.put_file(path, key, sha256), True


def _may_be_known(path: Path, store: ObjectStore, known: Known) -> bool:
    """Whether the store may have a file: a large file is read twice only if the last bytes are equal."""
    size = path.stat().st_size
    alike = [file for file in known.values() if file.size == size and PurePosixPath(file.key).name == path.name]
    if not alike or size <= TAIL_BYTES:
        return bool(alike)
    tail = read_tail(path, TAIL_BYTES)
    return any(store.read_tail(file, TAIL_BYTES) == tail for file in reversed(alike))


def _send_named(folder: Path, store: ObjectStore, prefix: str, manifest: Manifest, names: list[str]) -> int:
    """Send the named files of a manifest, manifests last; returns their number."""
    for name in sorted(names, key=lambda name: name.endswith(MANIFEST)):
        store.put_file(folder / name, join(prefix, name), manifest.files[name]["sha256"])
    return len(names)


def visible_files(folder: Path) -> list[tuple[str, Path]]:
    """Relative names and paths of a folder's files, manifests last, without those that start with a dot."""
    found = ((path.relative_to(folder).as_posix(), path) for path in files_below(folder))
    return sorted(
        ((name, path) for name, path in found if not _is_hidden(name)), key=lambda pair: pair[0].endswith(MANIFEST)
    )


def _is_same_work(store: ObjectStore, prefix: str, manifest: Manifest, there: Manifest) -> bool:
    """Whether the store has a complete result of the same inputs; timestamps and the like in it may differ."""
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
    """The folder's own manifest, or a new one of its visible files, which are read.

    Raises StoreError if there is no such folder, or if files of a finished folder have changed.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder} does not exist: give a finished folder.")
    finished = read_manifest(folder)
    if finished is None:
        files: dict[str, FileEntry] = {
            name: {"size": path.stat().st_size, "sha256": sha256_of(path)} for name, path in visible_files(folder)
        }
        return Manifest(fingerprint=_fingerprint(folder, files), files=files)
    if broken := broken_files(folder, finished):
        raise StoreError(f"{folder} has changed since it was finished ({broken[0]}): create it again, then archive it.")
    return finished


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _fingerprint(folder: Path, files: Mapping[str, FileEntry]) -> str:
    """Digest of the fingerprints of the finished folders in a folder, or else of its content."""
    parts = {
        name: manifest.fingerprint
        for name in files
        if name.endswith(f"/{MANIFEST}") and (manifest := read_manifest((folder / name).parent))
    }
    return digest_of(parts or files)
