"""Check that base and adapter can be merged; errors name the tensor and what to do."""

from pathlib import Path

import torch

from tasks.errors import ModelError
from tasks.merging.model_directory import MergeOptions
from tasks.merging.safetensors_writer import block_workers
from tasks.model.adapter_checks import BaseShapes, require_fitting, require_projector
from tasks.model.adapter_files import Adapter
from tasks.model.checkpoint_origin import frozen_parts, read_origin, weights_fingerprint
from tasks.model.stored_model import StoredModel
from tasks.model.tensor_files import is_finite, read_float


def require_same_base(base: StoredModel, tuned: Path) -> None:
    """Raise ModelError if a checkpoint's origin.json has the fingerprint of another base."""
    origin = read_origin(tuned)
    if "base_weights" in origin and origin["base_weights"] != weights_fingerprint(base.folder):
        raise ModelError(
            f"{tuned} was trained on {origin.get('base')}, whose weights are not those of {base.folder}: "
            "give the base model that it was trained on; its layout does not matter."
        )


def require_mergeable(base: StoredModel, adapter: Adapter, options: MergeOptions) -> None:
    """Raise ModelError unless the adapter belongs to the base, was trained, and is complete."""
    shapes = {name: tensor.shape for name, tensor in base.tensors.items()}
    require_fitting(adapter, BaseShapes(base.folder, shapes, base.tied))
    require_same_base(base, adapter.folder)
    require_projector(adapter, options.projector, base.projector)
    _require_finite(adapter)
    _require_trained(adapter)
    _require_projector_differs(base, adapter)
    _require_tower_unchanged(base, adapter, options)


def _require_finite(adapter: Adapter) -> None:
    with block_workers() as pool:
        found = pool.map(lambda tensor: is_finite(read_float(tensor)), adapter.tensors)
        for tensor, finite in zip(adapter.tensors, found, strict=True):
            if not finite:
                raise ModelError(
                    f"{tensor.name} in {adapter.folder} holds NaN or Inf: the training diverged; "
                    "merge an earlier checkpoint."
                )


def _require_trained(adapter: Adapter) -> None:
    if not adapter.pairs:
        raise ModelError(f"{adapter.folder} holds no LoRA matrices: there is nothing to merge; give a trained adapter.")
    if not any(read_float(pair.zero_at_start).any() for pair in adapter.pairs.values()):
        first = next(iter(adapter.pairs.values())).zero_at_start.name
        raise ModelError(
            f"All B matrices of {adapter.folder} are zero ({first} and the rest): it was never trained; "
            "merge a checkpoint of a later step."
        )


def _require_projector_differs(base: StoredModel, adapter: Adapter) -> None:
    """Raise ModelError if a projector that was trained in full equals the base's."""
    names = base.projector & set(adapter.trained)
    # next to LoRA of the projector, an unchanged copy of the base's may be saved
    if not names or base.projector & set(adapter.pairs) or "projector" in frozen_parts(adapter.folder):
        return
    for name in names:
        if not torch.equal(read_float(base.tensors[name]), read_float(adapter.trained[name])):
            return
    raise ModelError(
        f"The projector of {adapter.folder} ({base.names.projector[0]}*) is the base's, bit for bit: it was not "
        "trained or was overwritten; merge another checkpoint."
    )


def _require_tower_unchanged(base: StoredModel, adapter: Adapter, options: MergeOptions) -> None:
    """Raise ModelError if the adapter changes a separate tower that the written directory would not contain."""
    elsewhere = sorted(name for name in adapter.changed if base.tensors[name].file.parent != base.folder)
    if elsewhere and options.layout == base.layout:
        raise ModelError(
            f"{adapter.folder} changes {elsewhere[0]}, which is in {base.tower} and not in {base.folder}: merge it "
            "with --format transformers, which has both in one directory."
        )
