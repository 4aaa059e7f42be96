"""Folders in a store: their manifest, which is written once and last, and checks of the files that it lists."""

import json
from pathlib import Path

from pydantic import ValidationError

from tasks.errors import SHOWN_CHARACTERS, DamagedManifest, StoreError
from tasks.files import write_json
from tasks.json_text import decode_json
from tasks.manifests import atomic_folder, broken_files, content_digest, read_manifest
from tasks.paths import MANIFEST
from tasks.records import Manifest
from tasks.storage.object_store import ObjectStore


def join(*parts: str) -> str:
    """Join the parts of a key with "/"; empty parts are left out."""
    return "/".join(part for part in parts if part)


def read_remote_manifest(store: ObjectStore, folder: str) -> Manifest | None:
    """The manifest of a folder in the store; None if it is missing, which means that the folder does not exist.

    Raises DamagedManifest if it is damaged or names files outside its folder, StoreError if it cannot be read.
    """
    text = store.read_text(join(folder, MANIFEST))
    if text is None:
        return None
    try:
        return Manifest.model_validate(decode_json(text))
    except ValidationError as error:
        fault = error.errors()[0]
        reason = f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}"
    except ValueError as error:
        reason = str(error)
    raise DamagedManifest(
        f"{join(store.uri, folder, MANIFEST)} is damaged or was not written by rsvlm ({reason[:SHOWN_CHARACTERS]}): "
        "move it away or use another run name, then store the folder again."
    )


def sound_manifest(store: ObjectStore, folder: str) -> Manifest | None:
    """The manifest of a folder in the store; None if it is missing or damaged."""
    try:
        return read_remote_manifest(store, folder)
    except DamagedManifest:
        return None


def create_manifest(store: ObjectStore, folder: str, manifest: Manifest) -> None:
    """Write a folder's manifest as its last file; StoreError if a manifest of other content exists."""
    text = json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n"
    if not store.create_text(join(folder, MANIFEST), text):
        require_same_content(store, folder, manifest, read_remote_manifest(store, folder))


def require_same_content(store: ObjectStore, folder: str, manifest: Manifest, found: Manifest | None) -> None:
    """Raise StoreError if the content of the manifest in the store differs from that of the folder to be stored."""
    if found is not None and content_digest(found) == content_digest(manifest):
        return
    changed = [name for name, entry in manifest.files.items() if found and found.files.get(name) != entry]
    raise StoreError(
        f"{join(store.uri, folder)} already holds something else ({', '.join(changed[:3]) or 'files'} differ), "
        "and nothing stored is ever overwritten: give this run another name, or move that folder away."
    )


def missing_files(store: ObjectStore, folder: str, manifest: Manifest) -> list[str]:
    """Files of the manifest that are missing or have another size; their bytes are not read."""
    sizes = store.sizes_below(folder)
    return [name for name, entry in manifest.files.items() if sizes.get(join(folder, name)) != entry["size"]]


def damaged_files(store: ObjectStore, folder: str, manifest: Manifest) -> list[str]:
    """Files of the manifest that are missing or have changed; what this process has not hashed yet is read."""
    missing = set(missing_files(store, folder, manifest))
    return [
        name
        for name, entry in manifest.files.items()
        if name in missing or store.hash_of(join(folder, name)) != entry["sha256"]
    ]


def pull_folder(store: ObjectStore, folder: str, target: Path) -> Manifest:
    """Download a folder completely or not at all; the same content at `target` is left unchanged.

    Raises StoreError if the folder does not exist or is damaged, or if `target` has other content.
    """
    manifest = read_remote_manifest(store, folder)
    if manifest is None:
        raise StoreError(f"{join(store.uri, folder)} has no {MANIFEST}: it was not stored completely; choose another.")
    if target.exists():
        present = read_manifest(target)
        if present is None or content_digest(present) != content_digest(manifest):
            raise StoreError(f"{target} already holds something else: choose another folder, or move it away.")
        if not broken_files(target, present):
            return present
    with atomic_folder(target) as part:
        for name, entry in manifest.files.items():
            store.get_file(join(folder, name), part / name, entry["sha256"])
        write_json(part / MANIFEST, manifest.model_dump(mode="json"))
    return manifest
