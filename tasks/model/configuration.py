"""What a model directory is, read from its files and never from its name."""

import json
from pathlib import Path
from typing import Any

from tasks.errors import ModelError
from tasks.model.original import find_tower, is_original, transformers_config

CONFIG, GENERATION = "config.json", "generation_config.json"


def require_model_config(folder: Path) -> dict[str, Any]:
    """The configuration of a LLaVA directory of either layout, as transformers writes it.

    Raises ModelError when there is none, when it or the generation settings beside it are damaged, or when it is not
    LLaVA's.
    """
    config = read_config(folder)
    if (folder / GENERATION).is_file():
        # transformers answers as if there were none where it is cut off
        read_settings(folder / GENERATION)
    if is_original(config):
        return transformers_config(folder, config, read_config(find_tower(folder, config)))
    if config.get("model_type") != "llava":
        raise ModelError(
            f"{folder} holds a model of type {config.get('model_type')!r}, not a LLaVA 1.5: "
            "give a directory as llava-hf/llava-1.5-7b-hf or liuhaotian/llava-v1.5-7b has it."
        )
    return config


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json of a directory as it stands there; raises ModelError when it is missing or damaged."""
    try:
        return read_settings(folder / CONFIG)
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"{folder} holds no config.json: give the directory of a LLaVA model.") from None


def read_settings(file: Path) -> dict[str, Any]:
    """The settings in a JSON file of a model directory; raises ModelError when it is damaged or holds none."""
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{file} is damaged ({error}): copy the model again.") from None
    if not isinstance(settings, dict):
        raise ModelError(f"{file} holds no settings: copy the model again.")
    return settings
