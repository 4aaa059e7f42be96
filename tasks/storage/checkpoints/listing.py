"""List, verify and download the checkpoints of a store."""

import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from tasks.errors import StoreError
from tasks.manifests import atomic_folder, content_digest
from tasks.paths import RESUME_ONLY, checkpoint_name
from tasks.records import CheckpointRef, Manifest, Value
from tasks.storage.checkpoints.paths import CheckpointPath, checkpoint_paths, checkpoints_of
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import (
    damaged_files,
    join,
    missing_files,
    pull_folder,
    read_remote_manifest,
    sound_manifest,
)

Check = Callable[[ObjectStore, str, Manifest], list[str]]


class ListedCheckpoint(Value):
    """One line of `rsvlm checkpoints list`; `bytes` is the size, `whole` is false if a file is missing or damaged."""

    run: str
    step: int
    uri: str
    files: int
    bytes: int
    whole: bool


def list_checkpoints(store: ObjectStore) -> Iterator[ListedCheckpoint]:
    """All checkpoints; `whole` means that every file is there with its size."""
    return (_checked(store, path, missing_files) for path in checkpoint_paths(store))


def verify_checkpoints(store: ObjectStore) -> Iterator[ListedCheckpoint]:
    """All checkpoints; `whole` means that every byte of every file is unchanged."""
    return (_checked(store, path, damaged_files) for path in checkpoint_paths(store))


def _checked(store: ObjectStore, path: CheckpointPath, check: Check) -> ListedCheckpoint:
    found = ListedCheckpoint(
        run=_printable(path.run),
        step=path.step,
        uri=_printable(join(store.uri, path.folder)),
        files=0,
        bytes=0,
        whole=False,
    )
    try:
        manifest = read_remote_manifest(store, path.folder)
        if manifest is None:
            return found
        sizes = [entry["size"] for entry in manifest.files.values()]
        found = found.model_copy(update={"files": len(sizes), "bytes": sum(sizes)})
        broken = check(store, path.folder, manifest)
    except StoreError as error:
        print(f"{found.uri}: {error}", file=sys.stderr)
        return found
    if broken:
        print(f"{found.uri}: missing or damaged: {', '.join(broken)}", file=sys.stderr)
    return found.model_copy(update={"whole": not broken})


def _printable(name: str) -> str:
    """A name that can be printed: file names may contain bytes that are not valid text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def pull_checkpoint(store: ObjectStore, out: Path) -> Path:
    """Download the checkpoint at which the store was opened, or a run's newest complete one, as OUT/checkpoint-N.

    Raises StoreError if there is no such checkpoint, if there are several runs, or if a file arrives damaged.
    """
    paths = checkpoint_paths(store)
    if not paths:
        raise StoreError(f"There is no checkpoint below {store.uri}: `rsvlm checkpoints list` shows what there is.")
    runs = sorted({path.run for path in paths})
    if len(runs) > 1:
        raise StoreError(f"{store.uri} has several runs ({', '.join(runs)}): give the address of one of them.")
    for path in reversed(paths):
        if _checked(store, path, missing_files).whole:
            target = out / checkpoint_name(path.step)
            pull_folder(store, path.folder, target)
            return target
    raise StoreError(f"No checkpoint under {store.uri} is complete: `rsvlm checkpoints verify` names what is missing.")


class StoredCheckpoint(Value):
    """A checkpoint in the store: its name there, checkpoint-N or checkpoint-N-2, and the digest of all its files."""

    name: str
    step: int
    folder: str
    sha256: str


def find_checkpoints(store: ObjectStore, run: str, step: int | None) -> list[StoredCheckpoint]:
    """A run's checkpoints by step, or only the one of `step`; the last one of a step that was trained again.

    Checkpoints with a damaged manifest are left out; if `step` is that of one, StoreError is raised.
    """
    last = {path.step: path.folder for path in checkpoints_of(store, run)}
    found = [
        (number, folder, (sound_manifest if step is None else read_remote_manifest)(store, folder))
        for number, folder in last.items()
        if step is None or step == number
    ]
    return [
        StoredCheckpoint(name=PurePosixPath(folder).name, step=number, folder=folder, sha256=content_digest(manifest))
        for number, folder, manifest in found
        # damaged, or just removed from the store
        if manifest is not None
    ]


def fetch_model(store: ObjectStore, run: str, checkpoint: StoredCheckpoint, target: Path) -> CheckpointRef:
    """Download a checkpoint to the folder `target`, without the files that only resuming needs.

    Raises StoreError if it is incomplete in the store, if it is no longer the one that was found, or if a file
    arrives damaged; nothing is left at `target` then.
    """
    manifest = read_remote_manifest(store, checkpoint.folder)
    if manifest is None or content_digest(manifest) != checkpoint.sha256:
        raise StoreError(f"{join(store.uri, checkpoint.folder)} was removed or replaced meanwhile: choose another.")
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
