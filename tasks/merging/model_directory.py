"""A model directory with provenance and manifest, whole or absent."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import ModelError, OccupiedError
from tasks.files import digest_of, write_json, write_text
from tasks.manifests import atomic_folder, broken_files, content_digest, read_manifest, write_manifest
from tasks.merging.config_files import require_whole, write_companions
from tasks.merging.input_hashes import Hashes, hashed_meanwhile
from tasks.merging.model_card import model_card
from tasks.merging.safetensors_writer import NewTensor
from tasks.merging.tensor_merge import BASE_DTYPE, DTYPE_CODES, write_files
from tasks.model.llava.layouts import INDEX, places
from tasks.model.llava.tensor_names import Projector
from tasks.model.model_tensors import BaseModel, Layout
from tasks.model.tensor_files import StoredTensor
from tasks.records import Manifest, ModelRef

PROVENANCE = "provenance.json"


@dataclass(frozen=True)
class Form:
    """What is asked of the written model: type of the weights, layout, and lines for its model card.

    With `verify` its answers are compared with those of base and checkpoint. Of an adapter that has no `projector` the
    base's is taken where asked.
    """

    dtype: str = BASE_DTYPE
    layout: Layout = "transformers"
    verify: bool = False
    facts: tuple[str, ...] = ()
    projector: Projector = "adapter"

    def __post_init__(self) -> None:
        if self.dtype != BASE_DTYPE and self.dtype not in DTYPE_CODES:
            raise ModelError(f"{self.dtype!r} is no type of weights: give base, {', '.join(DTYPE_CODES)}.")


@dataclass(frozen=True)
class NewModel:
    """A model directory to be made of `source`, each of whose tensors `renew` turns into the one that is written.

    `source` is the base itself or, where all of it was tuned, the checkpoint. `inputs` are all files that decide
    about it, by part and name; `require` raises what forbids it.
    """

    base: BaseModel
    source: BaseModel
    tuned: Path
    what: str
    form: Form
    settings: dict[str, Any]
    inputs: dict[str, dict[str, Path]]
    require: Callable[[], None]
    renew: Callable[[str, StoredTensor, str], NewTensor]


def publish(new: NewModel, out: Path) -> ModelRef:
    """Write a model directory; the same inputs and settings again do nothing.

    Raises ModelError when a gate fails, when a file beside the weights is damaged or when a weight is NaN or infinite,
    and OccupiedError when `out` holds something else.
    """
    with hashed_meanwhile(new.inputs) as hashes:
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            present = _present(out, digest_of(_provenance(new, hashes)))
            if present is not None:
                _verify(new, out)
                return ModelRef(path=out, sha256=content_digest(present))
        new.require()
        require_whole(new.inputs["companions"])
        with atomic_folder(out) as part:
            for place in places(new.source, new.form.layout).values():
                (part / place.file).parent.mkdir(exist_ok=True)
            write_companions(new.base, new.tuned, new.form.layout, new.form.dtype, part, out)
            written = _write_weights(new, part)
            provenance = _provenance(new, hashes)
            write_json(part / PROVENANCE, provenance)
            card = model_card(new.base, new.tuned, new.what, new.form.layout, new.form.facts)
            write_text(part / "README.md", card)
            details = {"base": new.base.folder.name, "tuned": new.tuned.name, **provenance["settings"]}
            _verify(new, part)
            manifest = write_manifest(part, digest_of(provenance), details, written)
    return ModelRef(path=out, sha256=content_digest(manifest))


def _verify(new: NewModel, written: Path) -> None:
    if new.form.verify:
        from tasks.merging.verify import require_same_answers

        require_same_answers(new.base.folder, new.tuned, written, new.form.projector)


def _present(out: Path, fingerprint: str) -> Manifest | None:
    """The manifest of the same model if it is whole; None when it was damaged since."""
    manifest = read_manifest(out)
    if manifest is None or manifest.fingerprint != fingerprint:
        raise OccupiedError(
            f"{out} already holds something else than this merge: choose another directory, or move it away."
        )
    return None if broken_files(out, manifest) else manifest


def _write_weights(new: NewModel, part: Path) -> dict[str, str]:
    """Write all tensors at their places, and the index; SHA-256 of the files by name."""
    placed = places(new.source, new.form.layout)
    files: dict[Path, list[NewTensor]] = {}
    for name, place in placed.items():
        files.setdefault(part / place.file, []).append(new.renew(name, new.source.tensors[name], place.name))
    require_space(part, sum(tensor.size_bytes for tensors in files.values() for tensor in tensors))
    written = write_files(files)
    own = [place for place in placed.values() if Path(place.file).parent == Path()]
    if len({place.file for place in own}) > 1:
        total = sum(tensor.size_bytes for file, tensors in files.items() if file.parent == part for tensor in tensors)
        weight_map = {place.name: place.file for place in sorted(own, key=lambda place: place.name)}
        write_json(part / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})
    return {file.relative_to(part).as_posix(): digest for file, digest in written.items()}


def require_space(folder: Path, size_bytes: int) -> None:
    """Raise ModelError where a folder's disk has no room for that many bytes."""
    free = shutil.disk_usage(folder).free
    if free < size_bytes:
        raise ModelError(
            f"The disk of {folder.parent} is full: the model takes {size_bytes / 1e9:.1f} GB and {free / 1e9:.1f} are "
            "free; free space, or choose another directory."
        )


def _provenance(new: NewModel, hashes: Hashes) -> dict[str, Any]:
    """What the model is made of: SHA-256 of every input file, and the settings."""
    names = {"base": new.base.folder.name, "adapter": new.tuned.name, "checkpoint": new.tuned.name}
    parts = {part: {"name": names.get(part, part), "files": files} for part, files in hashes.all().items()}
    return {"version": 2, **parts, "settings": {"dtype": new.form.dtype, "format": new.form.layout, **new.settings}}
