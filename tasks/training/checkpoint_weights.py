"""Weights of a model in training, and of its checkpoints: gathering, writing, and loading them."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import ModelError
from tasks.files import read_json, write_json, written_atomically
from tasks.model.adapters import has_tied_head
from tasks.model.tensor_names import TensorNames
from tasks.model.weights import read_tensors, weight_files
from tasks.paths import ADAPTER_CONFIG, ADAPTER_WEIGHTS, NON_LORA_WEIGHTS

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def gather(model: "torch.nn.Module", wanted: Callable[[str, bool], bool]) -> "dict[str, torch.Tensor]":
    """Copies on the CPU of the wanted parameters, by name; every rank must call this.

    `wanted` takes a parameter's name and whether it is trained. Under ZeRO-3 each rank holds a shard; the parameters
    are gathered one by one, and never the frozen base.
    """
    return {
        name: _gathered(parameter)
        for name, parameter in model.named_parameters()
        if wanted(name, parameter.requires_grad)
    }


def _gathered(parameter: "torch.nn.Parameter") -> "torch.Tensor":
    if not hasattr(parameter, "ds_id"):
        return parameter.detach().cpu().clone()
    import deepspeed

    with deepspeed.zero.GatheredParameters([parameter]):
        return parameter.detach().cpu().clone()


def write_non_lora(checkpoint: Path, weights: "Mapping[str, torch.Tensor]", trained: Collection[str]) -> None:
    """Write the weights that are saved in full to non_lora_trainables.bin, under their names in training."""
    import torch

    kept = {name: value.detach().cpu() for name, value in weights.items() if name in trained}
    torch.save(kept, checkpoint / NON_LORA_WEIGHTS)


def add_to_adapter(
    checkpoint: Path, weights: "Mapping[str, torch.Tensor]", trained: Collection[str], names: TensorNames
) -> None:
    """Add the weights that are saved in full to the adapter's files too, the way PEFT saves them.

    PEFT reads only those: without this, it would silently use the base's projector.
    """
    from safetensors.torch import load_file, save_file

    prefixes = [
        prefix
        for prefix in (*names.projector, *names.tower)
        if any(names.canonical(name).startswith(prefix) for name in trained)
    ]
    # PEFT looks for modules whose names end so
    modules = [prefix.removesuffix(".").rpartition(".")[2] for prefix in prefixes]
    config = read_json(checkpoint / ADAPTER_CONFIG)
    write_json(checkpoint / ADAPTER_CONFIG, {**config, "modules_to_save": modules}, indent=2)
    kept = {name: weights[name].detach().cpu().contiguous() for name in trained}
    with written_atomically(checkpoint / ADAPTER_WEIGHTS) as file:
        save_file({**load_file(checkpoint / ADAPTER_WEIGHTS), **kept}, file, {"format": "pt"})


def published_weights(
    model: "PreTrainedModel", state: "Mapping[str, torch.Tensor] | None", names: TensorNames
) -> "dict[str, torch.Tensor]":
    """Weights for `save_pretrained` under the names that every version of transformers reads.

    `state` holds the weights if DeepSpeed has gathered them.
    """
    # otherwise transformers renames them the way it believes to have renamed the base's, and loses a level of the tower
    model._weight_conversions = []
    return {names.published(name): value for name, value in (model.state_dict() if state is None else state).items()}


def record_tied_head(model: "PreTrainedModel") -> None:
    """Set in both configs of a model whether its head is tied to the embedding: each version reads a different one."""
    tied = has_tied_head(model)
    for config in (model.config, model.config.get_text_config()):
        config.tie_word_embeddings = tied


def load_weights(model: "torch.nn.Module", folder: Path, names: TensorNames) -> None:
    """Load all weights of a checkpoint into a model of the same shape; raises ModelError if one is missing."""
    lacking = {name for name, _ in model.named_parameters()}
    for file in weight_files(folder):
        weights = {names.canonical(name): value for name, value in read_tensors(file).items()}
        model.load_state_dict(weights, strict=False)
        lacking -= weights.keys()
    if lacking:
        raise ModelError(f"{folder} lacks {min(lacking)}: resume from an older checkpoint.")
