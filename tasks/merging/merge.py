"""Merge a checkpoint of either kind, adapter or full model, with its base into one model directory."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from tasks.errors import ModelError
from tasks.merging.checks import require_mergeable, require_same_base
from tasks.merging.model_directory import MergeOptions, NewModel, publish
from tasks.merging.provenance import hashing
from tasks.merging.safetensors_writer import NewTensor
from tasks.merging.tensor_merge import code_of, kept, merged
from tasks.model.adapter_files import TORCH_WEIGHTS, Adapter, read_adapter
from tasks.model.configuration import CONFIG
from tasks.model.families import family_of
from tasks.model.family import require_known_layout
from tasks.model.stored_model import StoredModel
from tasks.model.tensor_files import FLOATS, StoredTensor, read_float
from tasks.model.weights import find_weights, weight_files
from tasks.paths import ADAPTER_CONFIG, ADAPTER_WEIGHTS, NON_LORA_WEIGHTS
from tasks.records import ModelRef

AS_BASE = MergeOptions()
BASE_PROJECTOR = " with the base's own projector, since the adapter has none"


def merge_checkpoint(base: Path, checkpoint: Path, out: Path, options: MergeOptions = AS_BASE) -> ModelRef:
    """Merge an adapter into its base, or copy a full model; raises ModelError if the result would be wrong."""
    family = family_of(base)
    require_known_layout(family.name, family.layouts, options.layout)
    full = is_full_model(checkpoint)
    if full and options.projector == "base":
        raise ModelError(f"{checkpoint} is a model with its own projector: leave --projector base out.")
    return (copy_full_model if full else merge_adapter)(base, checkpoint, out, options)


def is_full_model(checkpoint: Path) -> bool:
    """Whether a checkpoint is a complete model rather than an adapter."""
    return (checkpoint / CONFIG).is_file() and not (checkpoint / ADAPTER_CONFIG).is_file()


def merge_adapter(base: Path, adapter: Path, out: Path, options: MergeOptions = AS_BASE) -> ModelRef:
    """Merge a LoRA adapter and its projector into a base model and write the directory `out`.

    If `out` is already the result of the same inputs and settings, nothing is written. Raises ModelError if base or
    adapter is damaged, they do not belong together, or the adapter was never trained; OccupiedError if `out` holds
    something else.
    """
    with hashing(_known_weights(base)) as hashes:
        with _without_garbage_collection():
            model = _with_adapter(base, adapter, options)
        return publish(model, out, hashes)


def _with_adapter(base: Path, adapter: Path, options: MergeOptions) -> NewModel:
    family = family_of(base)
    base_model, lora = family.read_stored(base), read_adapter(adapter, family.names)
    from_base = options.projector == "base"
    settings = {"rank": lora.settings.rank, "alpha": lora.settings.alpha, "trained_on": lora.settings.base_name}
    parts = [adapter / name for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS, TORCH_WEIGHTS, NON_LORA_WEIGHTS)]
    return NewModel(
        family=family,
        base=base_model,
        source=base_model,
        tuned=adapter,
        description=f"the LoRA adapter `{adapter.name}` merged into `{base.name}`"
        + (BASE_PROJECTOR if from_base else ""),
        options=options,
        settings=settings | ({"projector": "base"} if from_base else {}),
        inputs={
            "base": _model_files(base_model),
            "adapter": {path.name: path for path in parts if path.is_file()},
            "companions": family.config_files(base_model, adapter),
        },
        check=lambda: require_mergeable(base_model, lora, options),
        convert=lambda name, tensor, new_name: _converted(lora, name, tensor, options.dtype, new_name),
    )


def _converted(adapter: Adapter, name: str, tensor: StoredTensor, dtype: str, new_name: str) -> NewTensor:
    code = code_of(tensor, dtype)
    if name in adapter.changed:
        return merged(tensor, adapter, name, code, new_name)
    return kept(tensor, code, new_name)


def copy_full_model(base: Path, checkpoint: Path, out: Path, options: MergeOptions = AS_BASE) -> ModelRef:
    """Check a fully fine-tuned model and write it as the directory `out`, as merging does.

    If `out` is already the result of the same inputs and settings, nothing is written. Raises ModelError if base or
    checkpoint is damaged, they do not belong together, or a weight is NaN or infinite; OccupiedError if `out` holds
    something else.
    """
    with hashing(_known_weights(base)) as hashes:
        with _without_garbage_collection():
            model = _fully_tuned(base, checkpoint, options)
        return publish(model, out, hashes)


def _fully_tuned(base: Path, checkpoint: Path, options: MergeOptions) -> NewModel:
    family = family_of(base)
    base_model, tuned = family.read_stored(base), family.read_stored(checkpoint)
    source = _without_same_tower(base_model, tuned) if options.layout == "llava" and base_model.tower else tuned

    def check() -> None:
        _require_same_shapes(base_model, tuned)
        require_same_base(base_model, checkpoint)
        _require_trained(base_model, tuned)

    return NewModel(
        family=family,
        base=base_model,
        source=source,
        tuned=checkpoint,
        description=f"`{base.name}` with its full language model fine-tuned, from `{checkpoint.name}`",
        options=options,
        settings={},
        inputs={
            "base": _model_files(base_model),
            "checkpoint": _model_files(tuned),
            "companions": family.config_files(base_model, checkpoint),
        },
        check=check,
        convert=lambda name, tensor, new_name: kept(
            tensor, code_of(base_model.tensors.get(name, tensor), options.dtype), new_name
        ),
    )


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    # Importing transformers makes hundreds of thousands of objects, which all stay: looking through them again and
    # again takes a fifth of its time.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _known_weights(base: Path) -> list[Path]:
    """Files to hash while transformers is imported to read the model; none if reading it will raise an error."""
    try:
        return weight_files(base)
    except ModelError:
        return []


def _model_files(model: StoredModel) -> dict[str, Path]:
    """Files of weights and configuration by name; those of a separate tower as FOLDER/NAME."""
    index = find_weights(model.folder).index
    own = [model.folder / CONFIG, *([index] if index else [])]
    own += [file for file in model.files if file.parent == model.folder]
    files = {file.name: file for file in own}
    if model.tower is not None:
        tower = [model.tower / CONFIG, *(file for file in model.files if file.parent == model.tower)]
        files |= {f"{model.tower.name}/{file.name}": file for file in tower}
    return files


def _require_same_shapes(base: StoredModel, tuned: StoredModel) -> None:
    # the files may or may not repeat a head that is tied to the embedding
    optional = (*base.names.buffers, base.names.head) if base.tied and tuned.tied else base.names.buffers
    shapes = [
        {name: tensor.shape for name, tensor in model.tensors.items() if not name.endswith(optional)}
        for model in (base, tuned)
    ]
    differing = sorted(name for name, _ in shapes[0].items() ^ shapes[1].items())
    if differing:
        raise ModelError(
            f"{tuned.folder} and {base.folder} differ in {differing[0]}: give the base model that it was trained on."
        )


def _without_same_tower(base: StoredModel, tuned: StoredModel) -> StoredModel:
    """The tuned model without its vision tower if it equals the base's separate one, which config.json then names."""
    tower = {name: tensor for name, tensor in tuned.tensors.items() if tuned.names.is_tower(name)}
    for name, tensor in tower.items():
        same = base.tensors.get(name)
        if same is None or not torch.equal(read_float(tensor), read_float(same)):
            return tuned
    return replace(tuned, tensors={name: tensor for name, tensor in tuned.tensors.items() if name not in tower})


def _require_trained(base: StoredModel, tuned: StoredModel) -> None:
    both = base.tensors.keys() & tuned.tensors.keys()
    pairs = ((base.tensors[name], tuned.tensors[name]) for name in both if tuned.tensors[name].dtype in FLOATS)
    if all(torch.equal(read_float(old), read_float(new)) for old, new in pairs):
        raise ModelError(f"{tuned.folder} is {base.folder}, bit for bit: it was not trained; give another checkpoint.")
