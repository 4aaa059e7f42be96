"""What a model directory is, read from its files and never from its name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.errors import SHOWN_CHARACTERS, ModelError, UserError, shortened
from tasks.files import fits_utf8
from tasks.json_text import decode_json
from tasks.model.llava.original_layout import find_tower, is_original, transformers_config
from tasks.paths import ADAPTER_CONFIG

# four times those of the largest models there are
MOST_LAYERS = 512
CONFIG, GENERATION = "config.json", "generation_config.json"


def read_model_config(folder: Path) -> dict[str, Any]:
    """The config.json of a model as it stands there; raises ModelError where it is an adapter's, or is damaged."""
    if (folder / ADAPTER_CONFIG).is_file():
        # beside weights, too: transformers would put it on the model without a word
        raise ModelError(
            f"{folder} holds an adapter ({ADAPTER_CONFIG}) and no base model: give the model that it was trained on, "
            "and this directory as the adapter."
        )
    return read_config(folder)


def require_model_config(folder: Path, tower: Path | None = None) -> dict[str, Any]:
    """The configuration of a LLaVA directory of either layout, as transformers writes it.

    `tower` stands for the vision tower that an original model names. Raises ModelError when there is none, when it or
    the generation settings beside it are damaged, or when it is not LLaVA's.
    """
    config = read_model_config(folder)
    if (folder / GENERATION).is_file():
        # transformers answers as if there were none where it is cut off
        _require_tokens(folder / GENERATION, read_settings(folder / GENERATION))
    if is_original(config):
        vision = read_config(tower or find_tower(folder, config))
        with readable("configuration", folder):
            return _bounded(folder, transformers_config(folder, config, vision))
    if config.get("model_type") != "llava":
        raise ModelError(
            f"{folder} holds a model of type {shortened(config.get('model_type'))}, not a LLaVA 1.5: "
            "give a directory as llava-hf/llava-1.5-7b-hf or liuhaotian/llava-v1.5-7b has it."
        )
    return _bounded(folder, config)


def _require_tokens(file: Path, settings: dict[str, Any]) -> None:
    """Raise ModelError where the settings of generating name a token by what is no number of one."""
    for name in (name for name in settings if name.endswith("_token_id")):
        found = settings[name]
        if not all(token is None or type(token) is int for token in (found if isinstance(found, list) else [found])):
            raise ModelError(f"{file} is damaged ({name} is {shortened(found)}): copy the model again.")


def _bounded(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The same configuration; raises ModelError for a number of layers that would be built without end."""
    for part in (config.get("text_config"), config.get("vision_config")):
        layers = part.get("num_hidden_layers", 1) if isinstance(part, dict) else 1
        if type(layers) is not int or not 0 < layers <= MOST_LAYERS:
            raise ModelError(f"{folder}/{CONFIG} has {shortened(layers)} layers: copy the model again.")
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
        # as text: transformers does not take the byte order marks and encodings that JSON may have
        settings = decode_json(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{file} is damaged ({error}): copy the model again.") from None
    if not isinstance(settings, dict):
        raise ModelError(f"{file} holds no settings: copy the model again.")
    if not fits_utf8(settings):
        raise ModelError(f"{file} is damaged (half a Unicode character): copy the model again.")
    return settings


@contextmanager
def readable(what: str, folder: Path, mend: str = "copy it from where the model was published") -> Iterator[None]:
    """Raise ModelError where what stands in a directory is not what the code that reads it expects."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    # a damaged file is anything from a KeyError to the bare Exception of the library tokenizers
    except Exception as error:
        text = f"it lacks {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
        said = " ".join(text.split())[:SHOWN_CHARACTERS]
        raise ModelError(f"The {what} of {folder} cannot be read ({said}): {mend}.") from None
