"""A run's checkpoints in its store, and what of one answering needs."""

from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from tasks.errors import StoreError
from tasks.manifests import atomic_folder, content_digest
from tasks.paths import RESUME_ONLY
from tasks.records import CheckpointRef, Value
from tasks.storage.checkpoints.paths import checkpoint_paths
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import join, missing_files, read_remote_manifest, sound_manifest


class StoredCheckpoint(Value):
    """A checkpoint in the store: its name there, checkpoint-N or checkpoint-N-2, and the digest of all its files."""

    name: str
    step: int
    folder: str
    sha256: str


def find_checkpoints(store: ObjectStore, run: str, step: int | None) -> list[StoredCheckpoint]:
    """A run's checkpoints by step, or the one of `step`; of a step that was trained again, the last.

    Those whose manifest is damaged are left out; StoreError where just that one is asked for.
    """
    last = {place.step: place.folder for place in checkpoint_paths(store, join(run, "checkpoints"))}
    found = [
        (number, folder, (sound_manifest if step is None else read_remote_manifest)(store, folder))
        for number, folder in last.items()
        if step is None or step == number
    ]
    return [
        StoredCheckpoint(name=PurePosixPath(folder).name, step=number, folder=folder, sha256=content_digest(manifest))
        for number, folder, manifest in found
        # damaged, or removed from the store in this moment
        if manifest is not None
    ]


def fetch_model(store: ObjectStore, run: str, checkpoint: StoredCheckpoint, target: Path) -> CheckpointRef:
    """Get a checkpoint as the folder `target`, without what only resuming needs.

    Raises StoreError when it is not whole in the store, when it is not the one that was found, and when a file
    arrives damaged; nothing is left at `target` then.
    """
    manifest = read_remote_manifest(store, checkpoint.folder)
    if manifest is None or content_digest(manifest) != checkpoint.sha256:
        raise StoreError(f"{join(store.uri, checkpoint.folder)} was removed while it was asked for: ask for another.")
    if missing := missing_files(store, checkpoint.folder, manifest):
        raise StoreError(
            f"{join(store.uri, checkpoint.folder)} lacks {missing[0]}: `rsvlm checkpoints verify` names all that is "
            "missing."
        )
    with atomic_folder(target) as part:
        for name, entry in manifest.files.items():
            if not _is_for_resuming(name):
                store.get_file(join(checkpoint.folder, name), part / name, entry["sha256"])
    return CheckpointRef(path=target, sha256=checkpoint.sha256, run=run, step=checkpoint.step)


def _is_for_resuming(name: str) -> bool:
    return any(fnmatch(PurePosixPath(name).parts[0], pattern) for pattern in RESUME_ONLY)
