"""Base and adapter into one model directory, whole or absent."""

from pathlib import Path
from typing import Any

from tasks.errors import ModelError
from tasks.merging.adapter import read_adapter
from tasks.merging.base_model import read_base
from tasks.merging.directory import fingerprint_of, provenance_of, write_companions
from tasks.merging.gates import require_mergeable
from tasks.merging.streaming import BASE_DTYPE, DTYPE_CODES, write_merged
from tasks.records import Manifest, ModelRef
from tasks.storage.manifests import (
    broken_files,
    content_digest,
    made_beside,
    read_manifest,
    write_manifest,
)


def merge_adapter(base: Path, adapter: Path, out: Path, dtype: str = BASE_DTYPE) -> ModelRef:
    """Merge a LoRA adapter and its projector into a base model and write the directory `out`.

    `dtype` is "base" (each tensor as in the base), "float32", "bfloat16" or "float16". The same inputs and
    settings again do nothing. Raises ModelError when base or adapter is damaged, when they do not belong
    together, when the adapter was never trained, or when `out` holds something else.
    """
    if dtype != BASE_DTYPE and dtype not in DTYPE_CODES:
        raise ModelError(f"{dtype!r} is no type of weights: give base, {', '.join(DTYPE_CODES)}.")
    base_model, lora = read_base(base), read_adapter(adapter)
    provenance = provenance_of(base_model, lora, dtype)
    fingerprint = fingerprint_of(provenance)
    present = present_merge(out, fingerprint)
    if present is not None:
        return ModelRef(path=out, sha256=content_digest(present))
    require_mergeable(base_model, lora)
    with made_beside(out) as part:
        what = f"the LoRA adapter `{adapter.name}` merged into `{base.name}`"
        write_companions(base_model, adapter, what, provenance, part)
        write_merged(base_model, lora, dtype, part)
        manifest = write_manifest(part, fingerprint, _details(provenance))
    return ModelRef(path=out, sha256=content_digest(manifest))


def present_merge(out: Path, fingerprint: str) -> Manifest | None:
    """The manifest of the same merge if it is whole; None when it is absent or was damaged since."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    manifest = read_manifest(out)
    if manifest is None or manifest.fingerprint != fingerprint:
        raise ModelError(
            f"{out} already holds something else than this merge: choose another directory, or move it away."
        )
    return None if broken_files(out, manifest) else manifest


def _details(provenance: dict[str, Any]) -> dict[str, Any]:
    return {"base": provenance["base"]["name"], "adapter": provenance["adapter"]["name"], **provenance["settings"]}
