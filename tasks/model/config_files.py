"""The files next to a model's weights, for every family: where they are found, and what every config.json has."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from tasks.errors import ModelError
from tasks.model.configuration import (
    GENERATION,
    PREPROCESSOR,
    PROCESSOR,
    TOKENIZER_CONFIG,
    TOKENIZER_FILES,
    read_settings,
)
from tasks.model.stored_model import StoredModel
from tasks.model.tokenizer_files import FAST, SENTENCEPIECE, require_readable

# instead of a dtype: that of the base
BASE_DTYPE = "base"
TOKENIZER = (FAST, SENTENCEPIECE, *TOKENIZER_FILES, "added_tokens.json", "vocab.json", "merges.txt")
LICENCES = ("LICENSE", "LICENSE.txt", "NOTICE")
FROM_BASE_FIRST = (GENERATION, *TOKENIZER, *LICENCES)
PARTS = ("text_config", "vision_config")


def first_found(names: Iterable[str], folders: tuple[Path, ...]) -> dict[str, Path]:
    """The first of the folders' files of each name, by name; names that no folder has are left out."""
    paths = {name: [folder / name for folder in folders if (folder / name).is_file()] for name in names}
    return {name: found[0] for name, found in paths.items() if found}


def require_found(found: Mapping[str, Path], base: Path, tuned: Path) -> None:
    """Raise ModelError if neither of two directories has the settings of the tokenizer, or of the image processor."""
    for names in ((TOKENIZER_CONFIG,), (PREPROCESSOR, PROCESSOR)):
        if not any(name in found for name in names):
            raise ModelError(f"Neither {base} nor {tuned} has {names[0]}: copy it from the base model.")


def require_undamaged(files: Mapping[str, Path]) -> None:
    """Raise ModelError if a file next to the weights is damaged: most of them are copied unchanged."""
    for name, file in files.items():
        if name in (FAST, SENTENCEPIECE):
            require_readable(file)
        elif file.suffix == ".json":
            read_settings(file)


def with_ties(source: StoredModel) -> dict[str, object]:
    """The configuration with tie_word_embeddings also in text_config, where transformers 4 reads it."""
    config, tied = source.config, source.tied
    text = config.get("text_config")
    parts = (config, text) if isinstance(text, dict) else (config,)
    if not tied and not any(part.get("tie_word_embeddings") for part in parts):
        return config
    changed = {**config, "tie_word_embeddings": tied}
    return {**changed, "text_config": {**text, "tie_word_embeddings": tied}} if isinstance(text, dict) else changed


def typed_config(config: Mapping[str, object], dtype: str, key: str = "dtype") -> dict[str, object]:
    """A configuration with the dtype of the written weights under `key`."""
    if dtype == BASE_DTYPE:
        return dict(config)
    parts = {
        name: typed_config(part, dtype, key) if name in PARTS and isinstance(part, dict) else part
        for name, part in config.items()
        if name not in ("torch_dtype", "dtype")
    }
    return {**parts, key: dtype}
