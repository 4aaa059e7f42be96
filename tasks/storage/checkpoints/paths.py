"""Paths of checkpoints in a store: one folder per content, claimed before the first file is sent.

A step that is trained again after a crash does not give the same bytes. Both are kept: the first one archived is
checkpoint-N, the next checkpoint-N-2 and so on. Each has all that resuming needs, so later checkpoints depend on
neither.
"""

from itertools import count
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from tasks.errors import StoreError
from tasks.files import digest_of
from tasks.manifests import content_digest, read_manifest
from tasks.paths import CHECKPOINTS, MANIFEST, checkpoint_name, parse_checkpoint_name
from tasks.records import Manifest
from tasks.storage.folder_upload import VERSIONS, Archived, archive_folder, manifest_of, visible_files
from tasks.storage.local_store import LocalStore
from tasks.storage.object_store import ObjectStore, StoredFile
from tasks.storage.remote_folders import DamagedManifest, join, read_remote_manifest, sound_manifest

# in the store: written before the first file and removed after the manifest, it says whose content is to come;
# in the folder of a checkpoint to be uploaded: the text that identifies it
CLAIM = ".claim"
# identifies checkpoints in whose folder nothing can be written
PROCESS = uuid4().hex
# number of newest checkpoints whose files may be copied instead of sent
COPY_SOURCES = 8


class CheckpointPath(NamedTuple):
    """A checkpoint's folder in a store; a step that was trained again has several, by `number`."""

    run: str
    step: int
    number: int
    folder: str


def checkpoint_prefix(run: str, step: int, number: int = 1) -> str:
    """The folder of a checkpoint in the store."""
    return join(run, CHECKPOINTS, checkpoint_name(step, number))


def checkpoint_paths(store: ObjectStore, folder: str = "") -> list[CheckpointPath]:
    """Every checkpoint with a manifest, by run, step and number.

    The store may be opened at its root, at a run, or at one checkpoint: names are read from the complete address.
    """
    found = []
    for key in store.sizes_below(folder):
        match join(store.uri, key).split("/"):
            case [*_, run, parent, name, file] if parent == CHECKPOINTS and file == MANIFEST:
                if run and (parsed := parse_checkpoint_name(name)):
                    found.append(CheckpointPath(run, *parsed, key.removesuffix(MANIFEST).rstrip("/")))
    return sorted(found)


def checkpoints_of(store: ObjectStore, run: str) -> list[CheckpointPath]:
    """The checkpoints of one run, by step and number; the store is open at its root."""
    return checkpoint_paths(store, join(run, CHECKPOINTS))


def archive_checkpoint(folder: Path, store: ObjectStore, run: str, step: int) -> Archived:
    """Copy a complete checkpoint to STORE/RUN/checkpoints, to the folder with the same content or to a free one.

    Files that another checkpoint of the run has too are copied inside the store. Raises StoreError.
    """
    upload = _Upload(folder)
    prefix = next(
        prefix for number in count(1) if _claim(store, prefix := checkpoint_prefix(run, step, number), upload)
    )
    archived = archive_folder(folder, store, prefix, lambda: _files_by_hash(store, run))
    store.delete(join(prefix, CLAIM))
    return archived


class _Upload:
    """A checkpoint to be uploaded: the text of its claim, and whether a folder in the store has its content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.sizes = {name: path.stat().st_size for name, path in visible_files(folder)}
        self.claim = digest_of([self.sizes, _identity(folder)])

    def is_at(self, there: Manifest) -> bool:
        if {name: entry["size"] for name, entry in there.files.items()} != self.sizes:
            return False
        return content_digest(manifest_of(self._folder)) == content_digest(there)


def _identity(folder: Path) -> str:
    """What no checkpoint with other content has: the digest of its content, or a random text that stays in its folder.

    Of a staged checkpoint the digest is known only when all its bytes have been read and sent, and the time at which it
    was saved may be that of another run's.
    """
    if manifest := read_manifest(folder):
        return content_digest(manifest)
    here = LocalStore(folder)
    try:
        here.create_text(CLAIM, uuid4().hex)
        if text := here.read_text(CLAIM):
            return text
    except StoreError:
        # a full disk, or a folder of another user, stops no upload
        pass
    # the same for each attempt of this process; after a kill the checkpoint gets the next number
    return f"{PROCESS} {folder}"


def _claim(store: ObjectStore, prefix: str, upload: _Upload) -> bool:
    """Whether a folder is for this checkpoint: it has its content, or it was free and is claimed now."""
    while True:
        try:
            there = read_remote_manifest(store, prefix)
        except DamagedManifest:
            # its content is unknown, and nothing stored is ever overwritten
            return False
        if there is not None:
            return upload.is_at(there)
        claim = join(prefix, CLAIM)
        created = store.create_text(claim, upload.claim)
        holder = upload.claim if created else store.read_text(claim)
        if holder is None:
            # just removed: the other upload has finished, and its manifest is there
            continue
        there = sound_manifest(store, prefix)
        if there is None or upload.is_at(there):
            return holder == upload.claim
        if created:
            # another upload has finished between the first check and the claim
            store.delete(claim)
        return False


def _files_by_hash(store: ObjectStore, run: str) -> dict[str, StoredFile]:
    """Files of a run's newest checkpoints, by SHA-256."""
    found: dict[str, StoredFile] = {}
    for path in checkpoints_of(store, run)[-COPY_SOURCES:]:
        # nothing is copied from a damaged checkpoint
        if (manifest := sound_manifest(store, path.folder)) is None:
            continue
        versions = manifest.details.get(VERSIONS)
        for name, entry in manifest.files.items():
            version = versions.get(name) if isinstance(versions, dict) else None
            found[entry["sha256"]] = StoredFile(join(path.folder, name), entry["size"], version)
    return found
