"""Refuse weights that cannot be loaded, from their headers: quantised, of another dtype, missing, of another shape."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import ModelError
from tasks.model.configuration import CONFIG, COPY_AGAIN, lacks
from tasks.model.tensor_names import TensorNames

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# written next to the weights by quantisers that did not yet use config.json
QUANTISERS = {"quantize_config.json": "GPTQ", "quant_config.json": "AWQ"}


def require_plain_weights(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise ModelError if config.json declares quantised weights, or weights in files with other names."""
    if config.get("transformers_weights"):
        raise ModelError(
            f"{folder}/{CONFIG} names its files by transformers_weights, which few programs read: rename them to "
            "model.safetensors, or to shards with their index, and remove the setting."
        )
    parts = [config, *(part for part in config.values() if isinstance(part, dict))]
    written = [part["quantization_config"] for part in parts if part.get("quantization_config")]
    kinds = [found.get("quant_method", "bitsandbytes") if isinstance(found, dict) else found for found in written]
    kinds += [kind for name, kind in QUANTISERS.items() if (folder / name).is_file()]
    if kinds:
        raise ModelError(_quantised(folder, str(kinds[0])))


def _quantised(folder: Path, kind: str) -> str:
    return (
        f"{folder} holds quantised weights ({kind}), and rsvlm trains, answers with and merges only float32, float16 "
        "and bfloat16: give the model that it was made from."
    )


def require_floats(folder: Path, tensors: "Mapping[str, torch.Tensor]") -> None:
    """Raise ModelError for a tensor that is not float32, float16 or bfloat16."""
    import torch

    for name, value in tensors.items():
        if value.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            kind = str(value.dtype).removeprefix("torch.")
            if value.dtype not in (torch.float64, torch.bool):
                raise ModelError(_quantised(folder, f"{name} is {kind}"))
            raise ModelError(
                f"{name} of {folder} is {kind}, and rsvlm trains, answers with and merges only float32, float16 and "
                "bfloat16: save the model in one of these."
            )


def require_complete(
    folder: Path, model: "PreTrainedModel", tensors: "Mapping[str, torch.Tensor]", names: TensorNames
) -> None:
    """Raise ModelError if a tensor is missing or does not have the shape that config.json implies.

    `model` is built from it on the meta device, and `tensors` are those of the files by canonical name.
    """
    # of two tied tensors, either name is enough
    tied = model.get_expanded_tied_weights_keys(all_submodels=True)
    tied |= {source: name for name, source in tied.items()}
    for name, expected in model.state_dict().items():
        if name not in tensors:
            if tied.get(name) in tensors or name.endswith(names.buffers):
                continue
            raise lacks(folder, name)
        if tensors[name].shape != expected.shape:
            raise ModelError(
                f"{name} of {folder} has the shape {list(tensors[name].shape)}, and its {CONFIG} makes it "
                f"{list(expected.shape)}: {COPY_AGAIN}."
            )
