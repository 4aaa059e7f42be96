"""Write a model directory with provenance and manifest; it appears complete or not at all."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.choices import Layout, Projector
from tasks.errors import ModelError, OccupiedError
from tasks.files import digest_of, write_json, write_text
from tasks.manifests import atomic_folder, broken_files, content_digest, read_manifest, write_manifest
from tasks.merging.model_card import model_card
from tasks.merging.provenance import PROVENANCE, Hashes, provenance
from tasks.merging.safetensors_writer import NewTensor
from tasks.merging.tensor_merge import DTYPE_CODES, write_files
from tasks.model.config_files import BASE_DTYPE, require_undamaged
from tasks.model.family import ModelFamily
from tasks.model.stored_model import INDEX, StoredModel
from tasks.model.tensor_files import StoredTensor
from tasks.paths import MODEL_CARD
from tasks.records import Manifest, ModelRef


@dataclass(frozen=True)
class MergeOptions:
    """Options of a merge: dtype of the weights, layout of the directory, and further lines (`facts`) of its model card.

    `verify` compares its answers with those of base and checkpoint; `projector="base"` keeps the base's projector
    for an adapter that has none.
    """

    dtype: str = BASE_DTYPE
    layout: Layout = "transformers"
    verify: bool = False
    facts: tuple[str, ...] = ()
    projector: Projector = "adapter"

    def __post_init__(self) -> None:
        if self.dtype != BASE_DTYPE and self.dtype not in DTYPE_CODES:
            raise ModelError(f"{self.dtype!r} is not a dtype for weights: give base, {', '.join(DTYPE_CODES)}.")


@dataclass(frozen=True)
class NewModel:
    """A model directory to write: `convert` turns each tensor of `source` into the one that is written.

    `source` is the base, or the checkpoint if the full model was fine-tuned. `inputs` are all input files by part and
    name, as provenance.json lists them; `check` raises ModelError if the result would be wrong.
    """

    family: ModelFamily
    base: StoredModel
    source: StoredModel
    tuned: Path
    description: str
    options: MergeOptions
    settings: Mapping[str, object]
    inputs: dict[str, dict[str, Path]]
    check: Callable[[], None]
    convert: Callable[[str, StoredTensor, str], NewTensor]


def publish(new: NewModel, out: Path, hashes: Hashes) -> ModelRef:
    """Write a model directory, unless `out` already is the result of the same inputs and settings.

    `hashes` may have begun with some of the inputs. Raises ModelError if a check fails, a file next to the weights is
    damaged, or a weight is NaN or infinite, and OccupiedError if `out` holds something else.
    """
    for files in new.inputs.values():
        hashes.start(files.values())
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        present = _present(out, digest_of(_provenance(new, hashes)))
        if present is not None:
            _verify(new, out)
            return ModelRef(path=out, sha256=content_digest(present))
    new.check()
    require_undamaged(new.inputs["companions"])
    with atomic_folder(out) as part:
        for slot in new.family.slots(new.source, new.options.layout).values():
            (part / slot.file).parent.mkdir(exist_ok=True)
        options, folders = new.options, (part, out)
        new.family.write_config_files(new.base, new.tuned, options.layout, options.dtype, folders)
        written = _write_weights(new, part)
        content = _provenance(new, hashes)
        write_json(part / PROVENANCE, content)
        write_text(part / MODEL_CARD, _card(new))
        details = {"base": new.base.folder.name, "tuned": new.tuned.name, **_settings(new)}
        _verify(new, part)
        manifest = write_manifest(part, digest_of(content), details, written)
    return ModelRef(path=out, sha256=content_digest(manifest))


def _card(new: NewModel) -> str:
    options = new.options
    about = new.family.about(options.layout)
    return model_card(new.base.folder, new.tuned, new.description, about, options.facts)


def _verify(new: NewModel, written: Path) -> None:
    if new.options.verify:
        from tasks.merging.verify import require_same_answers

        require_same_answers(new.base.folder, new.tuned, written, new.options.projector)


def _present(out: Path, fingerprint: str) -> Manifest | None:
    """The manifest if `out` is the same model; None if it has been damaged since."""
    manifest = read_manifest(out)
    if manifest is None or manifest.fingerprint != fingerprint:
        raise OccupiedError(
            f"{out} already holds something other than this merge: choose another directory, or move it away."
        )
    return None if broken_files(out, manifest) else manifest


def _write_weights(new: NewModel, part: Path) -> dict[str, str]:
    """Write all tensors and the index; returns the SHA-256 of the files by name."""
    targets = new.family.slots(new.source, new.options.layout)
    files: dict[Path, list[NewTensor]] = {}
    for name, slot in targets.items():
        files.setdefault(part / slot.file, []).append(new.convert(name, new.source.tensors[name], slot.name))
    require_space(part, sum(tensor.size_bytes for tensors in files.values() for tensor in tensors))
    written = write_files(files)
    own = [slot for slot in targets.values() if Path(slot.file).parent == Path()]
    if len({slot.file for slot in own}) > 1:
        total = sum(tensor.size_bytes for file, tensors in files.items() if file.parent == part for tensor in tensors)
        weight_map = {slot.name: slot.file for slot in sorted(own, key=lambda slot: slot.name)}
        write_json(part / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})
    return {file.relative_to(part).as_posix(): digest for file, digest in written.items()}


def require_space(folder: Path, size_bytes: int) -> None:
    """Raise ModelError if a folder's disk has no room for that many bytes."""
    free = shutil.disk_usage(folder).free
    if free < size_bytes:
        raise ModelError(
            f"The disk of {folder.parent} is full: the model takes {size_bytes / 1e9:.1f} GB and {free / 1e9:.1f} are "
            "free; free space, or choose another directory."
        )


def _provenance(new: NewModel, hashes: Hashes) -> dict[str, object]:
    names = {"base": new.base.folder.name, "adapter": new.tuned.name, "checkpoint": new.tuned.name}
    return provenance(hashes.of(new.inputs), names, _settings(new))


def _settings(new: NewModel) -> dict[str, object]:
    return {"dtype": new.options.dtype, "format": new.options.layout, **new.settings}
