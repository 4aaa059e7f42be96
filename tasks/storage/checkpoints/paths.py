"""Where checkpoints stand in a store: a place for each content, taken before the first file is sent.

A step that was trained again after a crash has other bytes than the first time. Both are kept: the first to come
stands at checkpoint-N, the next at checkpoint-N-2 and so on. Each holds all that resuming needs, so that later
checkpoints depend on neither.
"""

import re
from itertools import count
from pathlib import Path
from typing import NamedTuple

from tasks.files import digest_of
from tasks.manifests import content_digest
from tasks.paths import COMPLETE, MANIFEST
from tasks.records import Manifest
from tasks.storage.folder_upload import VERSIONS, Archived, archive_folder, manifest_of, shown_files
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import DamagedManifest, join, read_remote_manifest, sound_manifest
from tasks.storage.stored_files import StoredFile

STORED = re.compile(rf"(?:^|/)([^/]+)/checkpoints/checkpoint-(\d+)(?:-(\d+))?/{re.escape(MANIFEST)}$")
# written before the first file and taken away after the manifest; it holds the digest of the content to come
CLAIM = ".claim"
# checkpoints whose files are looked at for what need not be sent again
LOOKED_AT = 8


class CheckpointPath(NamedTuple):
    """A checkpoint's place in a store; a step that was trained again has several, by `number`."""

    run: str
    step: int
    number: int
    folder: str


def checkpoint_prefix(run: str, step: int, number: int = 1) -> str:
    """Where a checkpoint stands in the store."""
    return join(run, "checkpoints", f"checkpoint-{step}" + (f"-{number}" if number > 1 else ""))


def checkpoint_paths(store: ObjectStore, folder: str = "") -> list[CheckpointPath]:
    """Every checkpoint with a manifest, by run, step and number.

    The store may be opened at its root, at a run, or at one checkpoint: the whole address is read.
    """
    found = []
    for key in store.sizes_below(folder):
        if match := STORED.search(join(store.uri, key)):
            place = key.removesuffix(MANIFEST).rstrip("/")
            found.append(CheckpointPath(match[1], int(match[2]), int(match[3] or 1), place))
    return sorted(found)


def archive_checkpoint(folder: Path, store: ObjectStore, run: str, step: int) -> Archived:
    """Copy a complete checkpoint to STORE/RUN/checkpoints, where the same content stands or else nothing does.

    Files that stand under another checkpoint of the run are copied inside the store. Raises StoreError.
    """
    coming = _Coming(folder)
    prefix = next(prefix for number in count(1) if _take(store, prefix := checkpoint_prefix(run, step, number), coming))
    archived = archive_folder(folder, store, prefix, lambda: _files_by_hash(store, run))
    store.delete(join(prefix, CLAIM))
    return archived


class _Coming:
    """A checkpoint on its way: what it claims a place with, and whether it is what stands there already."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        marker = folder / COMPLETE
        self.sizes = {name: path.stat().st_size for name, path in shown_files(folder)}
        # not its hash: that is known only when all of it has been read and sent
        self.claim = digest_of([self.sizes, marker.stat().st_mtime_ns if marker.is_file() else None])

    def is_at(self, there: Manifest) -> bool:
        if {name: entry["size"] for name, entry in there.files.items()} != self.sizes:
            return False
        return content_digest(manifest_of(self._folder)) == content_digest(there)


def _take(store: ObjectStore, prefix: str, coming: _Coming) -> bool:
    """Whether a place is for this checkpoint: it stands there, or the place was free and is claimed now."""
    while True:
        try:
            there = read_remote_manifest(store, prefix)
        except DamagedManifest:
            # nobody can tell what stands there, and nothing stored is ever overwritten
            return False
        if there is not None:
            return coming.is_at(there)
        claim = join(prefix, CLAIM)
        made = store.create_text(claim, coming.claim)
        holder = coming.claim if made else store.read_text(claim)
        if holder is None:
            # taken away in this moment: its holder is through, and its manifest stands there
            continue
        there = sound_manifest(store, prefix)
        if there is None or coming.is_at(there):
            return holder == coming.claim
        if made:
            # another one was through between the first look and the claim
            store.delete(claim)
        return False


def _files_by_hash(store: ObjectStore, run: str) -> dict[str, StoredFile]:
    """Files of a run's newest checkpoints, by SHA-256."""
    found: dict[str, StoredFile] = {}
    for place in checkpoint_paths(store, join(run, "checkpoints"))[-LOOKED_AT:]:
        # what is damaged is nothing to copy from
        if (manifest := sound_manifest(store, place.folder)) is None:
            continue
        versions = manifest.details.get(VERSIONS)
        for name, entry in manifest.files.items():
            version = versions.get(name) if isinstance(versions, dict) else None
            found[entry["sha256"]] = StoredFile(join(place.folder, name), entry["size"], version)
    return found
