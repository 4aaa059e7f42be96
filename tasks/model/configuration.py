"""What a model directory is, read from its files and never from its name."""

import json
from pathlib import Path
from typing import Any

from tasks.errors import ModelError
from tasks.model.original import find_tower, is_original, transformers_config

CONFIG = "config.json"


def require_model_config(folder: Path) -> dict[str, Any]:
    """The configuration of a LLaVA directory of either layout, as transformers writes it.

    Raises ModelError when there is none, when it is damaged, or when it is not LLaVA's.
    """
    config = read_config(folder)
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
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"{folder} holds no config.json: give the directory of a LLaVA model.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{folder}/config.json is damaged ({error}): copy the model again.") from None
    if not isinstance(config, dict):
        raise ModelError(f"{folder}/config.json holds no settings: copy the model again.")
    return config
