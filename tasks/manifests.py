"""MANIFEST.json lists the files of a finished folder. It is written last; a folder without it is unfinished."""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from errno import EEXIST, ENOTEMPTY
from glob import escape
from pathlib import Path
from shutil import rmtree
from typing import TypedDict
from uuid import uuid4

from pydantic import ValidationError

from tasks.errors import DataError, OccupiedError
from tasks.files import digest_of, link_or_copy, read_json, sha256_of, write_json
from tasks.known_digests import known_sha256
from tasks.paths import MANIFEST
from tasks.records import Manifest

# attempts to rename a folder to its final path while other processes do the same
TRIES = 5


class FileEntry(TypedDict):
    """Size in bytes and SHA-256 of a file."""

    size: int
    sha256: str


def files_below(folder: Path) -> list[Path]:
    """All files under a folder except its manifest, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)


def hashed_files(folder: Path, known: Mapping[str, str] | None = None) -> dict[str, FileEntry]:
    """Size in bytes and SHA-256 of every file of a folder except its manifest, by relative path.

    `known` has hashes of files, by relative path, that need not be read again.
    """
    names = {path.relative_to(folder).as_posix(): path for path in files_below(folder)}
    return {
        name: {"size": path.stat().st_size, "sha256": (known or {}).get(name) or sha256_of(path)}
        for name, path in names.items()
    }


def write_manifest(
    folder: Path, fingerprint: str, details: Mapping[str, object] | None = None, known: Mapping[str, str] | None = None
) -> Manifest:
    """Hash every file of `folder` and write its manifest; `fingerprint` identifies inputs and settings."""
    manifest = Manifest(fingerprint=fingerprint, files=hashed_files(folder, known), details=details or {})
    write_json(folder / MANIFEST, manifest.model_dump(mode="json"))
    return manifest


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder; None if it is missing or damaged, which means that the folder is not finished."""
    if not (folder / MANIFEST).is_file():
        return None
    try:
        return Manifest.model_validate(read_json(folder / MANIFEST))
    except (DataError, ValidationError):
        return None


def content_digest(manifest: Manifest) -> str:
    """One digest of all files of a folder, independent of its path."""
    return digest_of({path: entry["sha256"] for path, entry in manifest.files.items()})


def folder_digest(folder: Path) -> str:
    """One digest of the content of any folder: from its manifest, or else from every byte of its files.

    Large files that this user's processes have hashed before are not read again.
    """
    manifest = read_manifest(folder)
    if manifest is not None:
        return content_digest(manifest)
    return digest_of({path.relative_to(folder).as_posix(): known_sha256(path) for path in files_below(folder)})


def broken_files(folder: Path, manifest: Manifest) -> list[str]:
    """Files of the manifest that are missing or have changed; what this process has not hashed yet is read."""
    return [name for name, entry in manifest.files.items() if not _is_intact(folder / name, entry)]


def _is_intact(path: Path, entry: Mapping[str, object]) -> bool:
    return path.is_file() and path.stat().st_size == entry["size"] and sha256_of(path) == entry["sha256"]


def verified_manifest(folder: Path, fingerprint: str | None = None) -> Manifest | None:
    """The manifest of a finished, undamaged folder with this fingerprint, if one is given; else None."""
    manifest = read_manifest(folder)
    if manifest is None or (fingerprint is not None and manifest.fingerprint != fingerprint):
        return None
    return None if broken_files(folder, manifest) else manifest


def require_free_folder(folder: Path, fingerprint: str, refusal: str) -> None:
    """Raise OccupiedError with the message `refusal` unless `folder` is missing, empty or has this fingerprint."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    manifest = read_manifest(folder) if folder.is_dir() else None
    if manifest is None or manifest.fingerprint != fingerprint:
        raise OccupiedError(refusal)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that is renamed to `folder` when the block ends without an error.

    An older `folder` is removed only then; callers move aside what the user may want to keep. A folder of the same
    content that another process has created meanwhile stays, as it may be in use. Unfinished folders of killed
    processes are removed first.
    """
    _remove_abandoned(folder)
    with _own_part(folder) as part:
        yield part
        _rename(part, folder)


@contextmanager
def _own_part(folder: Path) -> Iterator[Path]:
    """A new temporary folder next to `folder`, locked, and removed afterwards."""
    with ExitStack() as stack:
        part = None
        while part is None:
            part = _locked_part(folder, stack)
        yield part


def _locked_part(folder: Path, stack: ExitStack) -> Path | None:
    """A new folder; None if another process took it for abandoned before it was locked."""
    part = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.part")
    part.mkdir(parents=True)
    stack.callback(rmtree, part, ignore_errors=True)
    try:
        # the lock is released when its process ends for any reason: a folder without one is abandoned
        stack.enter_context(_locked(part))
    except (FileNotFoundError, BlockingIOError):
        return None
    return part if part.exists() else None


def _rename(part: Path, folder: Path) -> None:
    for tries_left in reversed(range(TRIES)):
        if _has_same_content(folder, part):
            return
        if folder.exists():
            rmtree(folder, ignore_errors=tries_left > 0)
        try:
            part.rename(folder)
            return
        except OSError as error:
            # another process was faster
            if error.errno not in (ENOTEMPTY, EEXIST) or not tries_left:
                raise


def _has_same_content(folder: Path, part: Path) -> bool:
    there, new = read_manifest(folder), read_manifest(part)
    return there is not None and there == new and not broken_files(folder, there)


def _remove_abandoned(folder: Path) -> None:
    for part in folder.parent.glob(f".{escape(folder.name)}.{'[0-9a-f]' * 8}.part"):
        try:
            with _locked(part):
                rmtree(part, ignore_errors=True)
        except OSError:
            # another process uses it, has just finished, or this user may not remove it
            continue


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; raises OSError if another process holds it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def copy_folder(source: Path, target: Path, transfer: Callable[[Path, Path], None] = link_or_copy) -> None:
    """Copy the files that a finished folder's manifest lists to `target`, the manifest last.

    Files that were added later, such as the sets in a sample's folder, are not copied.
    """
    manifest = read_manifest(source)
    assert manifest, f"{source} is not finished"
    with atomic_folder(target) as part:
        for name in [*manifest.files, MANIFEST]:
            transfer(source / name, part / name)
