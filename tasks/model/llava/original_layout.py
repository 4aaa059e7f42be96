"""The original LLaVA layout: a LLaMA with the projector in its shards, and a separate vision tower.

    config.json            model_type llava or llava_llama, mm_vision_tower, mm_projector_type, ...
    pytorch_model*.bin     or model*.safetensors: model.layers..., model.mm_projector..., lm_head
    tokenizer.model        sentencepiece, without an image token (or a tokenizer.json that has one, and
                           image_token_index in config.json)

It is read into memory as a transformers LLaVA with an unchanged vocabulary, so logits and loss equal the reference's.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import ModelError
from tasks.model.family import SeparateTower
from tasks.model.hub import directory_of, find_model, local_model, next_to
from tasks.model.llava.original_config import tower_name
from tasks.model.llava.tensor_names import NAMES, TOWER_PREFIX, is_tower_tensor
from tasks.model.weights import tensors_of

if TYPE_CHECKING:
    from torch import Tensor

MODEL_TYPES = ("llava", "llava_llama")


def is_original(config: dict[str, Any]) -> bool:
    """Whether a config.json is in the original LLaVA layout."""
    return config.get("model_type") in MODEL_TYPES and "mm_projector_type" in config and "vision_config" not in config


def find_tower(folder: Path, config: dict[str, Any], name: str | None = None) -> Path:
    """Find the vision tower of an original model: in or next to the model, by its path, or on the hub.

    `name` overrides the tower named in the model's config.json. Raises ModelError if it cannot be found.
    """
    wanted = name or tower_name(config)
    try:
        return _tower_directory(folder, config, name) or find_model(wanted)
    except ModelError:
        raise SeparateTower(wanted).error(folder) from None


def local_tower(folder: Path, config: dict[str, Any], name: str | None = None) -> Path | None:
    """Find the vision tower as `find_tower` does, without downloading; None if it is not on this machine."""
    return _tower_directory(folder, config, name) or local_model(name or tower_name(config))


def _tower_directory(folder: Path, config: dict[str, Any], name: str | None) -> Path | None:
    # a model may be a link: look next to the link and next to its target
    folders = (folder, folder.parent, folder.resolve().parent)
    # config.json may name a path on another machine: next to the model, its last part is enough
    return next_to(tower_name(config), folders) if name is None else directory_of(name, folders)


def original_tensors(folder: Path, tower: Path) -> "dict[str, Tensor]":
    """All tensors of an original model and its tower by canonical name, memory-mapped, in the dtype of the files.

    A tower in the model's own shards was trained with it and is used in place of `tower`.
    """
    tensors = tensors_of(folder, NAMES)
    if not any(name.startswith(TOWER_PREFIX) for name in tensors):
        tensors |= {
            name: value for name, value in tensors_of(tower, NAMES, TOWER_PREFIX).items() if is_tower_tensor(name)
        }
    return tensors
