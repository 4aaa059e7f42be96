"""Settings beside a model's weights in words that transformers 4 and 5 both understand: each writes some of its own.

transformers 5 writes lists, names and classes that 4 stops at, or passes over and takes a default of its own; what
stands here is read alike by both, and by vLLM.
"""

from pathlib import Path
from typing import Any

from tasks.files import write_json
from tasks.model.configuration import CONFIG, read_settings

TOKENIZER_FILES = ("tokenizer_config.json", "special_tokens_map.json")
# what transformers 5 calls a class of transformers 4
CLASSES = {"TokenizersBackend": "PreTrainedTokenizerFast"}


def make_portable(folder: Path) -> None:
    """Change the settings of a directory that was just written; files that both read alike keep their bytes.

    Raises ModelError when one of them is damaged.
    """
    for name, change in ((CONFIG, portable_config), *((name, portable_tokenizer) for name in TOKENIZER_FILES)):
        if (folder / name).is_file():
            write_settings(folder / name, change(read_settings(folder / name)))


def write_settings(file: Path, settings: dict[str, Any]) -> None:
    """Write a JSON file, unless it says just that already."""
    if not file.is_file() or read_settings(file) != settings:
        write_json(file, settings, indent=2)


def portable_tokenizer(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a tokenizer: transformers 4 takes a list and names of special tokens under two keys."""
    changed = dict(settings)
    if changed.get("tokenizer_class") in CLASSES:
        changed["tokenizer_class"] = CLASSES[changed["tokenizer_class"]]
    extra = changed.pop("extra_special_tokens", None)
    named = changed.pop("model_specific_special_tokens", None) or {}
    if isinstance(extra, dict):
        named = {**named, **extra}
    elif extra:
        known = changed.get("additional_special_tokens") or []
        changed["additional_special_tokens"] = [*known, *(token for token in extra if token not in known)]
    if named:
        changed["extra_special_tokens"] = named
    return changed


def portable_config(config: dict[str, Any]) -> dict[str, Any]:
    """A LLaVA's configuration: transformers 4 takes the language model's positions from keys of its own."""
    text = config.get("text_config")
    if not isinstance(text, dict) or not isinstance(text.get("rope_parameters"), dict):
        return config
    rope = text["rope_parameters"]
    stretched = {key: value for key, value in rope.items() if key != "rope_theta"}
    older: dict[str, Any] = {"rope_theta": rope["rope_theta"]} if "rope_theta" in rope else {}
    if rope.get("rope_type", "default") != "default":
        older["rope_scaling"] = stretched
    return {**config, "text_config": {**text, **older}}
