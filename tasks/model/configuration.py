"""Read and write the JSON settings of a model directory; damaged and missing files raise ModelError.

transformers 5 writes lists, names and classes that transformers 4 rejects or silently replaces by defaults: settings
are rewritten so that both, and vLLM, read the same from them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.errors import SHOWN_CHARACTERS, ModelError, UserError, shortened
from tasks.files import fits_utf8, write_json
from tasks.json_text import decode_json
from tasks.paths import ADAPTER_CONFIG

CONFIG, GENERATION = "config.json", "generation_config.json"
PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
TOKENIZER_FILES = (TOKENIZER_CONFIG, "special_tokens_map.json")
# class of transformers 5: the same class in transformers 4
CLASSES = {"TokenizersBackend": "PreTrainedTokenizerFast"}
# four times the layers of the largest models
MAX_LAYERS = 512
# the number of layers of a language model, or of Qwen's vision tower
LAYERS = ("num_hidden_layers", "depth")
# what to do about a damaged or incomplete directory
COPY_AGAIN = "copy the model again"
COPY_PUBLISHED = "copy it from where the model was published"


def lacks(folder: Path, what: str, fix: str = COPY_AGAIN) -> ModelError:
    """The error for a model directory without a file or a tensor."""
    return ModelError(f"{folder} lacks {what}: {fix}.")


def require_file(folder: Path, name: str, *others: str, fix: str = COPY_PUBLISHED) -> None:
    """Raise ModelError unless a directory contains the file `name` or one of `others`."""
    if not any((folder / each).is_file() for each in (name, *others)):
        raise lacks(folder, name, fix)


def read_model_config(folder: Path) -> dict[str, Any]:
    """Read a model's config.json unchanged; raises ModelError if it is damaged or the directory holds an adapter."""
    if (folder / ADAPTER_CONFIG).is_file():
        # also next to weights: transformers would apply the adapter without a message
        raise ModelError(
            f"{folder} holds an adapter ({ADAPTER_CONFIG}) and no base model: give the model that it was trained on, "
            "and this directory as the adapter."
        )
    return read_config(folder)


def read_config(folder: Path) -> dict[str, Any]:
    """Read the config.json of a directory unchanged; raises ModelError if it is missing or damaged."""
    try:
        return read_settings(folder / CONFIG)
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"{folder} holds no config.json: give the directory of a model.") from None


def require_generation_config(folder: Path) -> None:
    """Raise ModelError if generation_config.json is damaged or has a token id that is not a number."""
    file = folder / GENERATION
    # checked here because transformers ignores a truncated file without a message
    for name, value in (read_settings(file) if file.is_file() else {}).items():
        tokens = value if isinstance(value, list) else [value]
        if name.endswith("_token_id") and not all(token is None or type(token) is int for token in tokens):
            raise ModelError(f"{file} is damaged ({name} is {shortened(value)}): {COPY_AGAIN}.")


def require_parts(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise ModelError if a configuration lacks its language model or vision tower; it is that of `folder`."""
    for part in ("text_config", "vision_config"):
        if not isinstance(config.get(part), dict):
            raise ModelError(f"{folder}/{CONFIG} has no {part}: {COPY_PUBLISHED}.")


def require_bounded_layers(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise ModelError for a number of layers that would take forever to build; `config` is that of `folder`."""
    parts = (config, config.get("text_config"), config.get("vision_config"))
    for part in (part for part in parts if isinstance(part, Mapping)):
        for layers in (part[key] for key in LAYERS if key in part):
            if type(layers) is not int or not 0 < layers <= MAX_LAYERS:
                raise ModelError(f"{folder}/{CONFIG} has {shortened(layers)} layers: {COPY_AGAIN}.")


def read_settings(file: Path) -> dict[str, Any]:
    """Read a JSON object from a file of a model directory; raises ModelError if it is damaged or holds none."""
    try:
        # as text: transformers does not accept the byte order marks and encodings that JSON allows
        settings = decode_json(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{file} is damaged ({error}): {COPY_AGAIN}.") from None
    if not isinstance(settings, dict):
        raise ModelError(f"{file} holds no settings: {COPY_AGAIN}.")
    if not fits_utf8(settings):
        raise ModelError(f"{file} is damaged (half a Unicode character): {COPY_AGAIN}.")
    return settings


@contextmanager
def readable(what: str, folder: Path, fix: str = COPY_PUBLISHED) -> Iterator[None]:
    """Turn any error raised while reading part of a model directory into a ModelError that names the part."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    # a damaged file raises anything from KeyError to the bare Exception of the tokenizers library
    except Exception as error:
        text = f"it lacks {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
        shown = " ".join(text.split())[:SHOWN_CHARACTERS]
        raise ModelError(f"The {what} of {folder} cannot be read ({shown}): {fix}.") from None


def make_portable(folder: Path) -> None:
    """Rewrite the settings of a newly written directory; files that both versions read alike keep their bytes.

    Raises ModelError if one of them is damaged.
    """
    for name, change in ((CONFIG, portable_config), *((name, portable_tokenizer) for name in TOKENIZER_FILES)):
        if (folder / name).is_file():
            write_settings(folder / name, change(read_settings(folder / name)))


def write_settings(file: Path, settings: dict[str, Any]) -> None:
    """Write a JSON file unless it already holds these settings."""
    if not file.is_file() or read_settings(file) != settings:
        write_json(file, settings, indent=2)


def portable_tokenizer(settings: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer's settings with special tokens under transformers 4's two keys, one for a list and one for names."""
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
    """A model's configuration with the language model's rotary positions also under transformers 4's keys."""
    text = config.get("text_config")
    if not isinstance(text, dict) or not isinstance(text.get("rope_parameters"), dict):
        return config
    rope = text["rope_parameters"]
    scaling = {key: value for key, value in rope.items() if key != "rope_theta"}
    older: dict[str, Any] = {"rope_theta": rope["rope_theta"]} if "rope_theta" in rope else {}
    if rope.get("rope_type", "default") != "default":
        older["rope_scaling"] = scaling
    return {**config, "text_config": {**text, **older}}
