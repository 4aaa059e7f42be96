"""STARTED.json: which inputs a predictions folder was started with, so that answers of different inputs never mix."""

from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import ValidationError

from tasks.errors import DataError, OccupiedError
from tasks.files import digest_of, read_json, write_json
from tasks.manifests import read_manifest
from tasks.paths import STARTED
from tasks.records import Value

ADVICE = "give another --out, or move that folder away"


class InputsRecord(Value):
    """Everything that decides the answers: digests of model, adapter and test set, settings, and the images' bytes.

    An unreadable image has no digest. `engine` is known once the engine is prepared.
    """

    version: int = 1
    inputs: dict[str, object]
    images: dict[str, str | None]
    engine: str | None = None

    def fingerprint(self, subset_size: int) -> str:
        """The fingerprint of a finished folder: its inputs, and the size of its subsets."""
        return digest_of([self.version, self.inputs, self.images, subset_size])


def require_same_inputs(
    folder: Path, current: InputsRecord, fingerprint: str, answered_images: Collection[str]
) -> InputsRecord | None:
    """Return the inputs that a folder was started with, None for a new folder.

    Raises OccupiedError if they differ. An image may change as long as no question about it is answered: so an
    unreadable one can be replaced.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not folder.is_dir():
        raise OccupiedError(f"{folder} is a file: give a folder as --out.")
    recorded = _recorded_by_manifest(folder, current, fingerprint) or _read_inputs(folder)
    # some settings, such as a transform, are recorded only where they are used
    names = {**current.inputs, **recorded.inputs}
    differing = [name for name in names if current.inputs.get(name) != recorded.inputs.get(name)]
    if differing:
        raise OccupiedError(f"{folder} holds answers with another {', another '.join(differing)}: {ADVICE}.")
    changed = _changed_images(recorded.images, current.images, answered_images)
    if changed:
        raise OccupiedError(
            f"The image {changed[0]} has changed since {folder} was started ({len(changed)} in all): {ADVICE}."
        )
    return recorded


def require_same_engine(folder: Path, recorded: InputsRecord | None, engine: str | None) -> None:
    """Raise OccupiedError if the answers so far come from another engine, number type or kind of device."""
    if recorded is not None and recorded.engine not in (None, engine):
        raise OccupiedError(
            f"{folder} was started with {recorded.engine}, and this run would continue with {engine}: "
            f"use the same engine, or {ADVICE}."
        )


def write_inputs(folder: Path, record: InputsRecord) -> None:
    """Claim a predictions folder, before its first answer."""
    write_json(folder / STARTED, record.model_dump(mode="json"))


def _read_inputs(folder: Path) -> InputsRecord:
    try:
        return InputsRecord.model_validate(read_json(folder / STARTED))
    except (DataError, ValidationError):
        raise OccupiedError(f"{folder} is not empty and holds no answers to continue: {ADVICE}.") from None


def _recorded_by_manifest(folder: Path, current: InputsRecord, fingerprint: str) -> InputsRecord | None:
    """The inputs of a folder that its manifest says is finished with `current`, even if STARTED.json is damaged."""
    manifest = read_manifest(folder)
    if manifest is None or manifest.fingerprint != fingerprint:
        return None
    return current.model_copy(update={"engine": manifest.details.get("engine")})


def _changed_images(
    recorded: Mapping[str, str | None], current: Mapping[str, str | None], answered: Collection[str]
) -> list[str]:
    return [name for name in answered if recorded.get(name) != current.get(name)]
