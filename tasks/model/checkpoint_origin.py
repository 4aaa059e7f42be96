"""origin.json: which run, base model, data and settings a checkpoint comes from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tasks.errors import DataError, ModelError
from tasks.files import fits_utf8, read_json, write_json
from tasks.paths import ORIGIN


@dataclass(frozen=True)
class CheckpointOrigin:
    """Where checkpoints come from: names of run and base, the training's fingerprint, and its inputs.

    `base_weights` is the fingerprint of the base's weights, `dataset` the digest of the prepared sets; `settings` are
    those that decide the weights, by section.
    """

    run: str
    base: str
    training: str
    base_weights: str
    dataset: str
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def write_origin(checkpoint: Path, origin: CheckpointOrigin) -> None:
    """Write origin.json; merging reads the base from it, the merged model's card the data, resuming the settings."""
    write_json(checkpoint / ORIGIN, asdict(origin))


def origin_of(checkpoint: Path) -> dict[str, Any]:
    """Run, base, its weights' fingerprint and the data's digest; empty for checkpoints of others, which tell nothing.

    Raises ModelError when the file is damaged.
    """
    file = checkpoint / ORIGIN
    try:
        origin = read_json(file) if file.is_file() else {}
    except DataError:
        origin = None
    if not isinstance(origin, dict) or not fits_utf8(origin):
        raise ModelError(f"{file} is damaged: fetch the checkpoint again.")
    return origin
