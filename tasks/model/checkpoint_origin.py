"""The origin of a checkpoint: its run, its data, and its base model with a fingerprint of the weights."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tasks.errors import DataError, ModelError
from tasks.files import fits_utf8, read_json, write_json
from tasks.model.families import family_of
from tasks.model.weights import tensors_of
from tasks.paths import ORIGIN


@dataclass(frozen=True)
class CheckpointOrigin:
    """The content of a checkpoint's origin.json.

    `run` and `base` are names, `training` is the fingerprint of the training job, `base_weights` that of the base's
    weights, `dataset` the digest of the prepared sets; `settings` are those that affect the weights, by section.
    """

    run: str
    base: str
    training: str
    base_weights: str
    dataset: str
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def write_origin(checkpoint: Path, origin: CheckpointOrigin) -> None:
    """Write origin.json: merging checks the base against it, model cards show the data, resuming the settings."""
    write_json(checkpoint / ORIGIN, asdict(origin))


def read_origin(checkpoint: Path) -> dict[str, Any]:
    """Read origin.json; {} for checkpoints of other programs, which have none. Raises ModelError if it is damaged."""
    file = checkpoint / ORIGIN
    try:
        origin = read_json(file) if file.is_file() else {}
    except DataError:
        origin = None
    if not isinstance(origin, dict) or not fits_utf8(origin):
        raise ModelError(f"{file} is damaged: fetch the checkpoint again.")
    return origin


def frozen_parts(checkpoint: Path) -> tuple[str, ...]:
    """The parts of the model that `training.freeze` named; none for checkpoints of other programs."""
    found: object = read_origin(checkpoint)
    for key in ("settings", "training", "freeze"):
        found = found.get(key) if isinstance(found, dict) else None
    return tuple(map(str, found)) if isinstance(found, list) else ()


def weights_fingerprint(folder: Path) -> str:
    """SHA-256 in hex over name, shape and first row of each tensor of language model and projector.

    It does not depend on layout, shards or rounding from float16 to bfloat16. The vision tower is left out, since the
    original layout stores it elsewhere. Raises ModelError if a file is missing or damaged, or a weight is there twice.
    """
    import torch

    names, rows = family_of(folder).names, {}
    for name, value in tensors_of(folder, names).items():
        if value.is_floating_point() and not names.is_tower(name):
            # one row per tensor distinguishes models at the cost of a few thousand reads
            first = (value[:1] if value.dim() > 1 else value).to(torch.bfloat16).contiguous().view(torch.int16)
            rows[f"{name} {list(value.shape)}"] = first.numpy().tobytes()
    digest = hashlib.sha256()
    for name, row in sorted(rows.items()):
        digest.update(name.encode() + b"\0" + row)
    return digest.hexdigest()
