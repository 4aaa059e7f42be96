"""What must hold before anything is merged; a gate that fails names the tensor and the way out."""

from pathlib import Path

import torch

from tasks.errors import ModelError
from tasks.merging.adapter import Adapter
from tasks.merging.base_model import BaseModel
from tasks.merging.origin import origin_of
from tasks.merging.tensor_files import is_finite, read_float
from tasks.merging.writing import block_workers
from tasks.model.fingerprint import weights_fingerprint
from tasks.model.formats import PROJECTOR_PREFIX


def require_same_base(base: BaseModel, tuned: Path) -> None:
    """Raise ModelError when a checkpoint says of its base's weights what is not so of these."""
    origin = origin_of(tuned)
    if "base_weights" in origin and origin["base_weights"] != weights_fingerprint(base.folder):
        raise ModelError(
            f"{tuned} was trained on {origin.get('base')}, whose weights are not those of {base.folder}: "
            "give the base model that it was trained on; its layout does not matter."
        )


def require_mergeable(base: BaseModel, adapter: Adapter) -> None:
    """Raise ModelError unless the adapter belongs to the base, was trained, and is whole."""
    _require_same_shapes(base, adapter)
    require_same_base(base, adapter.folder)
    _require_projector(base, adapter)
    _require_finite(adapter)
    _require_trained(adapter)
    _require_projector_differs(base, adapter)


def _require_same_shapes(base: BaseModel, adapter: Adapter) -> None:
    shapes = [(name, pair.shape) for name, pair in adapter.pairs.items()]
    shapes += [(name, value.shape) for name, value in adapter.trained.items()]
    for name, shape in shapes:
        if name not in base.tensors:
            raise ModelError(
                f"{adapter.folder} changes {name}, which {base.folder} does not have: "
                f"give the base model that it was trained on{_by_name(adapter)}."
            )
        if shape != base.tensors[name].shape:
            raise ModelError(
                f"{name} is {list(shape)} in {adapter.folder} and {list(base.tensors[name].shape)} in {base.folder}: "
                f"give the base model that it was trained on{_by_name(adapter)}."
            )


def _by_name(adapter: Adapter) -> str:
    return f" ({adapter.settings.base_name})" if adapter.settings.base_name else ""


def _require_projector(base: BaseModel, adapter: Adapter) -> None:
    lacking = sorted(base.projector - set(adapter.trained))
    if lacking:
        raise ModelError(
            f"{adapter.folder.name} lacks the projector ({lacking[0]}): merge the final adapter of that run, "
            "or train with rsvlm, which saves the projector with every checkpoint."
        )


def _require_finite(adapter: Adapter) -> None:
    with block_workers() as pool:
        found = pool.map(lambda tensor: is_finite(read_float(tensor)), adapter.tensors)
        for tensor, finite in zip(adapter.tensors, found, strict=True):
            if not finite:
                raise ModelError(
                    f"{tensor.name} in {adapter.folder} holds NaN or Inf: the training went astray; "
                    "merge an earlier checkpoint."
                )


def _require_trained(adapter: Adapter) -> None:
    if not adapter.pairs:
        raise ModelError(f"{adapter.folder} holds no LoRA matrices: there is nothing to merge; give a trained adapter.")
    if not any(read_float(pair.b).any() for pair in adapter.pairs.values()):
        first = next(iter(adapter.pairs.values())).b.name
        raise ModelError(
            f"All B matrices of {adapter.folder} are zero ({first} and the rest): it was never trained; "
            "merge a checkpoint of a later step."
        )


def _require_projector_differs(base: BaseModel, adapter: Adapter) -> None:
    for name in base.projector:
        if not torch.equal(read_float(base.tensors[name]), read_float(adapter.trained[name])):
            return
    raise ModelError(
        f"The projector of {adapter.folder} ({PROJECTOR_PREFIX}*) is the base's, bit for bit: it was not trained "
        "or was overwritten; merge another checkpoint."
    )
