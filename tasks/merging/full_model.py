"""A checkpoint of a full fine-tuning is a model already: it is checked, and copied as the merged model."""

from dataclasses import replace
from pathlib import Path

import torch

from tasks.errors import ModelError
from tasks.merging.base_model import BaseModel, read_base
from tasks.merging.companions import companions
from tasks.merging.gates import require_same_base
from tasks.merging.merge import AS_BASE, model_files
from tasks.merging.publishing import Form, NewModel, publish
from tasks.merging.streaming import code_of, kept
from tasks.model.formats import HEAD
from tasks.model.original import BUFFERS, TOWER_PREFIX
from tasks.model.tensor_files import FLOATS, read_float
from tasks.paths import ADAPTER_CONFIG
from tasks.records import ModelRef


def is_full_model(checkpoint: Path) -> bool:
    """Whether a checkpoint holds a whole model and no adapter."""
    return (checkpoint / "config.json").is_file() and not (checkpoint / ADAPTER_CONFIG).is_file()


def copy_full_model(base: Path, checkpoint: Path, out: Path, form: Form = AS_BASE) -> ModelRef:
    """Write a fully fine-tuned model as the directory `out`, as merging does.

    The same inputs and settings again do nothing. Raises ModelError when base or checkpoint is damaged, when they
    do not belong together, when a weight is NaN or infinite, or when `out` holds something else.
    """
    base_model, tuned = read_base(base), read_base(checkpoint)
    source = _without_same_tower(base_model, tuned) if form.layout == "llava" and base_model.tower else tuned

    def require() -> None:
        _require_same_shapes(base_model, tuned)
        require_same_base(base_model, checkpoint)
        _require_trained(base_model, tuned)

    new = NewModel(
        base=base_model,
        source=source,
        tuned=checkpoint,
        what=f"`{base.name}`, all of its language model tuned, from `{checkpoint.name}`",
        form=form,
        settings={},
        inputs={
            "base": model_files(base_model),
            "checkpoint": model_files(tuned),
            "companions": companions(base_model, checkpoint),
        },
        require=require,
        renew=lambda name, tensor, new_name: kept(
            tensor, code_of(base_model.tensors.get(name, tensor), form.dtype), new_name
        ),
    )
    return publish(new, out)


def _require_same_shapes(base: BaseModel, tuned: BaseModel) -> None:
    # a head that is the embedding may stand in the file beside it, or not
    needless = (*BUFFERS, HEAD) if base.tied and tuned.tied else BUFFERS
    shapes = [
        {name: tensor.shape for name, tensor in model.tensors.items() if not name.endswith(needless)}
        for model in (base, tuned)
    ]
    other = sorted(name for name, _ in shapes[0].items() ^ shapes[1].items())
    if other:
        raise ModelError(
            f"{tuned.folder} and {base.folder} differ in {other[0]}: give the base model that it was trained on."
        )


def _without_same_tower(base: BaseModel, tuned: BaseModel) -> BaseModel:
    """The tuned model without its tower where that is the base's, which stands where the base says."""
    tower = {name: tensor for name, tensor in tuned.tensors.items() if name.startswith(TOWER_PREFIX)}
    for name, tensor in tower.items():
        same = base.tensors.get(name)
        if same is None or not torch.equal(read_float(tensor), read_float(same)):
            return tuned
    return replace(tuned, tensors={name: tensor for name, tensor in tuned.tensors.items() if name not in tower})


def _require_trained(base: BaseModel, tuned: BaseModel) -> None:
    both = base.tensors.keys() & tuned.tensors.keys()
    pairs = ((base.tensors[name], tuned.tensors[name]) for name in both if tuned.tensors[name].dtype in FLOATS)
    if all(torch.equal(read_float(old), read_float(new)) for old, new in pairs):
        raise ModelError(f"{tuned.folder} is {base.folder}, bit for bit: it was not trained; give another checkpoint.")
