"""A checkpoint of a full fine-tuning is a model already: it is checked, and copied as the merged model."""

from functools import partial
from pathlib import Path
from typing import Any

import torch

from tasks.errors import ModelError
from tasks.merging.base_model import BaseModel, read_base
from tasks.merging.directory import (
    companions,
    fingerprint_of,
    hashes_by_name,
    model_origin,
    write_companions,
)
from tasks.merging.merge import present_merge
from tasks.merging.streaming import BASE_DTYPE, DTYPE_CODES, write_shards
from tasks.merging.tensor_files import FLOATS, NewTensor, StoredTensor, read_bytes, read_float, to_bytes
from tasks.paths import ADAPTER_CONFIG
from tasks.records import ModelRef
from tasks.storage.manifests import content_digest, made_beside, write_manifest


def is_full_model(checkpoint: Path) -> bool:
    """Whether a checkpoint holds a whole model and no adapter."""
    return (checkpoint / "config.json").is_file() and not (checkpoint / ADAPTER_CONFIG).is_file()


def copy_full_model(base: Path, checkpoint: Path, out: Path, dtype: str = BASE_DTYPE) -> ModelRef:
    """Write a fully fine-tuned model as the directory `out`, its weights in the type `dtype`, as merging does.

    The same inputs and settings again do nothing. Raises ModelError when base or checkpoint is damaged, when they
    do not belong together, when a weight is NaN or infinite, or when `out` holds something else.
    """
    base_model, tuned = read_base(base), read_base(checkpoint)
    provenance = _provenance(base_model, tuned, dtype)
    present = present_merge(out, fingerprint_of(provenance))
    if present is not None:
        return ModelRef(path=out, sha256=content_digest(present))
    _require_same_shapes(base_model, tuned)
    _require_trained(base_model, tuned)
    with made_beside(out) as part:
        what = f"`{base.name}`, all of its language model tuned, from `{checkpoint.name}`"
        write_companions(base_model, checkpoint, what, provenance, part)
        write_shards(tuned, lambda name, tensor: _renewed(tensor, _code(base_model.tensors[name], dtype)), part)
        details = {"base": base.name, "checkpoint": checkpoint.name, **provenance["settings"]}
        manifest = write_manifest(part, fingerprint_of(provenance), details)
    return ModelRef(path=out, sha256=content_digest(manifest))


def _provenance(base: BaseModel, tuned: BaseModel, dtype: str) -> dict[str, Any]:
    return {
        "version": 1,
        "base": model_origin(base),
        "checkpoint": model_origin(tuned),
        "companions": hashes_by_name(companions(base.folder, tuned.folder).values()),
        "settings": {"dtype": dtype},
    }


def _require_same_shapes(base: BaseModel, tuned: BaseModel) -> None:
    shapes = [{name: tensor.shape for name, tensor in model.tensors.items()} for model in (base, tuned)]
    other = sorted(name for name, _ in shapes[0].items() ^ shapes[1].items())
    if other:
        raise ModelError(
            f"{tuned.folder} and {base.folder} differ in {other[0]}: give the base model that it was trained on."
        )


def _require_trained(base: BaseModel, tuned: BaseModel) -> None:
    pairs = ((base.tensors[name], tensor) for name, tensor in tuned.tensors.items() if tensor.dtype in FLOATS)
    if all(torch.equal(read_float(old), read_float(new)) for old, new in pairs):
        raise ModelError(f"{tuned.folder} is {base.folder}, bit for bit: it was not trained; give another checkpoint.")


def _code(tensor: StoredTensor, dtype: str) -> str:
    return DTYPE_CODES[dtype] if dtype != BASE_DTYPE and tensor.dtype in FLOATS else tensor.dtype


def _renewed(tensor: StoredTensor, code: str) -> NewTensor:
    produce = partial(_converted, tensor, code) if tensor.dtype in FLOATS else partial(read_bytes, tensor)
    return NewTensor(tensor.name, code, tensor.shape, produce)


def _converted(tensor: StoredTensor, code: str) -> memoryview:
    return to_bytes(read_float(tensor), code, tensor.name)
