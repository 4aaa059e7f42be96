"""The configuration of a LLaVA directory of either layout, checked and in transformers' form."""

from pathlib import Path
from typing import Any

from tasks.errors import ModelError, shortened
from tasks.model.configuration import (
    CONFIG,
    COPY_PUBLISHED,
    read_config,
    read_model_config,
    readable,
    require_bounded_layers,
    require_generation_config,
)
from tasks.model.llava.original_config import transformers_config
from tasks.model.llava.original_layout import find_tower, is_original

# pixels; limits the memory that a damaged number can request
MAX_SIDE = 4096


def require_model_config(folder: Path, tower: Path | None = None) -> dict[str, Any]:
    """Read the configuration of a LLaVA directory of either layout in the form that transformers writes.

    `tower` overrides the vision tower that an original model names. Raises ModelError if config.json or
    generation_config.json is missing or damaged, or the model is not a LLaVA.
    """
    config = read_model_config(folder)
    require_generation_config(folder)
    if is_original(config):
        vision = read_config(tower or find_tower(folder, config))
        with readable("configuration", folder):
            config = transformers_config(folder, config, vision)
    elif config.get("model_type") != "llava":
        raise ModelError(
            f"{folder} holds a model of type {shortened(config.get('model_type'))}, not a LLaVA 1.5: "
            "give a directory as llava-hf/llava-1.5-7b-hf or liuhaotian/llava-v1.5-7b has it."
        )
    require_bounded_layers(folder, config)
    return config


def image_tokens_of(folder: Path, config: dict[str, Any]) -> int:
    """Tokens per image: one per patch, plus one for the class token if the model uses all features.

    `config` is in transformers' form. Raises ModelError if image or patch size is out of range.
    """
    with readable("configuration", folder):
        vision = config["vision_config"]
        side, patch = vision["image_size"], vision["patch_size"]
        if not 0 < patch <= side <= MAX_SIDE:
            raise ModelError(f"{folder}/{CONFIG} has images of {side} pixels and patches of {patch}: {COPY_PUBLISHED}.")
        return int((side // patch) ** 2) + (config.get("vision_feature_select_strategy") == "full")
