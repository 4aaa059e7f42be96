"""STARTED.json: whose answers a predictions folder holds, so that they are never mixed with others'."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tasks.errors import DataError, OccupiedError
from tasks.files import digest_of, read_json, write_json
from tasks.manifests import read_manifest
from tasks.paths import STARTED
from tasks.records import Value

WAY_OUT = "give another --out, or move that folder away"


class Started(Value):
    """What decides the answers: digests of model, adapter and test set, settings, and the images' bytes.

    An image that cannot be read has no digest. `engine` is known once the model is loaded.
    """

    version: int = 1
    inputs: dict[str, Any]
    images: dict[str, str | None]
    engine: str | None = None

    def fingerprint(self, subset_size: int) -> str:
        """Of a finished folder: what its files hold, and how they are cut."""
        return digest_of([self.version, self.inputs, self.images, subset_size])


def require_same_start(
    folder: Path, now: Started, fingerprint: str, answered_images: Collection[str]
) -> Started | None:
    """What the folder was started with, None for a new one; raises OccupiedError when it is of something else.

    An image may change as long as nothing was answered of it: so an unreadable one can be mended.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not folder.is_dir():
        raise OccupiedError(f"{folder} is a file: give a folder as --out.")
    before = _started_in_manifest(folder, now, fingerprint) or _read_started(folder)
    strange = [name for name, value in now.inputs.items() if before.inputs.get(name) != value]
    if strange:
        raise OccupiedError(f"{folder} holds answers with another {', another '.join(strange)}: {WAY_OUT}.")
    changed = _changed_images(before.images, now.images, answered_images)
    if changed:
        raise OccupiedError(
            f"The image {changed[0]} has changed since {folder} was begun ({len(changed)} in all): {WAY_OUT}."
        )
    return before


def require_same_engine(folder: Path, before: Started | None, engine: str | None) -> None:
    """Raise OccupiedError when the answers so far were made by another engine, number type or kind of device."""
    if before is not None and before.engine not in (None, engine):
        raise OccupiedError(
            f"{folder} was begun with {before.engine}, and this would go on with {engine}: "
            f"go on as it was begun, or {WAY_OUT}."
        )


def write_started(folder: Path, started: Started) -> None:
    """Claim a predictions folder, before its first answer."""
    write_json(folder / STARTED, started.model_dump(mode="json"))


def _read_started(folder: Path) -> Started:
    try:
        return Started.model_validate(read_json(folder / STARTED))
    except (DataError, ValidationError):
        raise OccupiedError(f"{folder} holds no answers that could be gone on with: {WAY_OUT}.") from None


def _started_in_manifest(folder: Path, now: Started, fingerprint: str) -> Started | None:
    """A folder that was finished with these inputs is still theirs when its files are damaged."""
    manifest = read_manifest(folder)
    if manifest is None or manifest.fingerprint != fingerprint:
        return None
    return now.model_copy(update={"engine": manifest.details.get("engine")})


def _changed_images(
    before: Mapping[str, str | None], now: Mapping[str, str | None], answered: Collection[str]
) -> list[str]:
    return [name for name in answered if before.get(name) != now.get(name)]
