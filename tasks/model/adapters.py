"""Apply an adapter, ours or the original LLaVA's, to a base model of either layout."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.choices import Projector
from tasks.errors import ModelError
from tasks.model.tensor_names import PEFT_PREFIX, TensorNames
from tasks.model.weights import read_tensors
from tasks.paths import NON_LORA_WEIGHTS

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer
    from transformers import PreTrainedModel

    from tasks.model.adapter_files import Adapter
    from tasks.model.adapter_weights import LoraPair


def require_adapter(folder: Path, names: TensorNames, projector: Projector = "adapter") -> "Adapter":
    """Read an adapter before minutes are spent on loading a base; ModelError if it fits no base."""
    from tasks.model.adapter_checks import require_projector
    from tasks.model.adapter_files import read_adapter

    adapter = read_adapter(folder, names)
    require_projector(adapter, projector)
    return adapter


def apply_adapter(
    model: "PreTrainedModel", folder: Path, names: TensorNames, projector: Projector = "adapter"
) -> "PreTrainedModel | PeftModel":
    """Read an adapter and apply it to a base model; raises ModelError if it is damaged or does not fit."""
    adapter = require_adapter(folder, names, projector)
    require_made_for(adapter, model, projector)
    return put_on(model, adapter)


def require_made_for(adapter: "Adapter", model: "PreTrainedModel", projector: Projector = "adapter") -> None:
    """Raise ModelError if an adapter does not fit a base model."""
    from tasks.model.adapter_checks import BaseShapes, require_fitting, require_projector

    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    require_fitting(adapter, BaseShapes(Path(model.name_or_path), shapes, has_tied_head(model)))
    require_projector(adapter, projector, [name for name in shapes if adapter.names.is_projector(name)])


def has_tied_head(model: "PreTrainedModel") -> bool:
    """Whether the LM head shares its weight with the token embedding."""
    return model.get_output_embeddings().weight is model.get_input_embeddings().weight


def put_on(model: "PreTrainedModel", adapter: "Adapter") -> "PreTrainedModel | PeftModel":
    """Apply an adapter: LoRA of linear layers through PEFT, all other changes directly in the model's parameters."""
    import torch

    pairs = _linear_pairs(model, adapter)
    for name, parameter in replaced_parameters(model, adapter).items():

        def base(first: int, last: int, parameter: torch.Tensor = parameter) -> torch.Tensor:
            return parameter.detach()[first:last].to(torch.float32, copy=True)

        changed = adapter.rows_of(name, base, with_pair=name.removesuffix(".weight") not in pairs)
        parameter.data.copy_(changed(0, len(parameter)))
    return (_with_lora(model, adapter, pairs) if pairs else model).eval()


def replaced_parameters(model: "PreTrainedModel", adapter: "Adapter") -> "dict[str, torch.nn.Parameter]":
    """The base's parameters whose values an adapter replaces, by name."""
    names = adapter.changed - {f"{module}.weight" for module in _linear_pairs(model, adapter)}
    names |= {*adapter.trained, *adapter.tokens}
    return {name: parameter for name, parameter in model.named_parameters() if name in names}


def _linear_pairs(model: "PreTrainedModel", adapter: "Adapter") -> dict[str, "LoraPair"]:
    """LoRA matrices of linear layers, by the layer's name."""
    from torch.nn import Linear

    modules = {name.removesuffix(".weight"): pair for name, pair in adapter.pairs.items()}
    return {name: pair for name, pair in modules.items() if isinstance(model.get_submodule(name), Linear)}


def _with_lora(model: "PreTrainedModel", adapter: "Adapter", pairs: Mapping[str, "LoraPair"]) -> "PeftModel":
    """Build PEFT's model with exactly these matrices, whatever adapter_config.json targets."""
    from peft import LoraConfig, PeftModel

    settings = adapter.settings
    config = LoraConfig(
        r=settings.rank,
        rank_pattern={re.escape(name): pair.rank for name, pair in pairs.items() if pair.rank != settings.rank},
        target_modules=set(pairs),
        use_dora=settings.dora,
        inference_mode=True,
    )
    with warnings.catch_warnings():
        # PEFT uses a name that the next major version of transformers removes
        warnings.simplefilter("ignore", FutureWarning)
        tuned = PeftModel(model, config, autocast_adapter_dtype=False)
    for name, pair in pairs.items():
        _fill(tuned.get_submodule(PEFT_PREFIX + name), pair)
    return tuned


def _fill(layer: "LoraLayer", pair: "LoraPair") -> None:
    from tasks.model.tensor_files import read_float

    (name,) = layer.active_adapters
    layer.scaling[name] = pair.scale
    layer.lora_A[name].weight.data.copy_(read_float(pair.a))
    layer.lora_B[name].weight.data.copy_(read_float(pair.b))
    if pair.magnitude is not None:
        layer.lora_magnitude_vector[name].weight.data.copy_(read_float(pair.magnitude))


def read_non_lora(adapter: Path) -> "dict[str, torch.Tensor]":
    """Read an adapter's non_lora_trainables.bin (tensors trained in full) by name; ModelError if it is damaged."""
    return read_tensors(adapter / NON_LORA_WEIGHTS)


def load_projector(model: "PeftModel", adapter: Path, names: TensorNames) -> None:
    """Load non_lora_trainables.bin into a PEFT model; raises ModelError if a name or shape does not fit."""
    weights = {PEFT_PREFIX + names.canonical(name): value for name, value in read_non_lora(adapter).items()}
    known = model.state_dict()
    misfits = [name for name, value in weights.items() if name not in known or known[name].shape != value.shape]
    if misfits:
        raise ModelError(f"{adapter}/{NON_LORA_WEIGHTS} does not fit the base model, first at {misfits[0]}.")
    model.load_state_dict(weights, strict=False)
