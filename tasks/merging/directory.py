"""What makes merged weights a model directory: configuration, tokenizer, processor, model card, provenance."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.errors import ModelError
from tasks.files import digest_of, sha256_of, write_json, write_text
from tasks.merging.adapter import Adapter
from tasks.merging.base_model import INDEX, BaseModel
from tasks.merging.streaming import BASE_DTYPE
from tasks.paths import ADAPTER_CONFIG, ADAPTER_WEIGHTS, NON_LORA_WEIGHTS

PROVENANCE = "provenance.json"
# As the model was fed in training, so it must be fed afterwards.
FROM_ADAPTER_FIRST = ("preprocessor_config.json",)
FROM_BASE_FIRST = (
    *("generation_config.json", "processor_config.json", "chat_template.json", "chat_template.jinja"),
    *("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "merges.txt", "LICENSE", "LICENSE.txt", "NOTICE"),
)
NEEDED = (("tokenizer_config.json",), ("preprocessor_config.json", "processor_config.json"))

MODEL_CARD = """---
base_model: {base}
library_name: transformers
pipeline_tag: image-text-to-text
---
# {base}, fine-tuned

LLaVA in transformers layout, made by rsvlm: {what}. Hashes of both and the settings stand in `provenance.json`.
The licence of the base model applies.

```python
from transformers import LlavaForConditionalGeneration

model = LlavaForConditionalGeneration.from_pretrained("path/of/this/directory")
```
The prompt template is v1 of LLaVA 1.5; image handling stands in `preprocessor_config.json`.
"""


def companions(base: Path, adapter: Path) -> dict[str, Path]:
    """The small files of the merged directory and where each comes from; ModelError when one is lacking."""
    found = _first_found(FROM_BASE_FIRST, (base, adapter)) | _first_found(FROM_ADAPTER_FIRST, (adapter, base))
    for names in NEEDED:
        if not any(name in found for name in names):
            raise ModelError(f"Neither {base} nor {adapter} has {names[0]}: copy it from the base model.")
    return found


def _first_found(names: Iterable[str], folders: tuple[Path, Path]) -> dict[str, Path]:
    places = {name: [folder / name for folder in folders if (folder / name).is_file()] for name in names}
    return {name: found[0] for name, found in places.items() if found}


def provenance_of(base: BaseModel, adapter: Adapter, dtype: str) -> dict[str, Any]:
    """What the merged model is made of: SHA-256 of every input file, and the settings."""
    parts = [adapter.folder / name for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS, NON_LORA_WEIGHTS)]
    small = companions(base.folder, adapter.folder).values()
    return {
        "version": 1,
        "base": model_origin(base),
        "adapter": {"name": adapter.folder.name, "files": hashes_by_name(path for path in parts if path.is_file())},
        "companions": hashes_by_name(small),
        "settings": {"dtype": dtype, "scale": adapter.scale},
    }


def model_origin(model: BaseModel) -> dict[str, Any]:
    """Name of a model directory and SHA-256 of its weights and configuration."""
    index = [model.folder / INDEX] if (model.folder / INDEX).is_file() else []
    return {
        "name": model.folder.name,
        "files": hashes_by_name([model.folder / "config.json", *index, *model.shards]),
    }


def hashes_by_name(paths: Iterable[Path]) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in paths}


def fingerprint_of(provenance: dict[str, Any]) -> str:
    """One digest of all inputs and settings."""
    return digest_of(provenance)


def write_companions(base: BaseModel, tuned: Path, what: str, provenance: dict[str, Any], out: Path) -> None:
    """Write all files of a model directory but its weights; `what` says in the card how it came of `tuned`."""
    for name, source in companions(base.folder, tuned).items():
        shutil.copyfile(source, out / name)
    write_json(out / "config.json", _config(base.config, provenance["settings"]["dtype"]), indent=2)
    write_text(out / "README.md", MODEL_CARD.format(base=base.folder.name, what=what))
    write_json(out / PROVENANCE, provenance)


def _config(config: dict[str, Any], dtype: str) -> dict[str, Any]:
    """The base's configuration, with the type of the weights that were written."""
    if dtype == BASE_DTYPE:
        return config
    parts = {
        name: _config(part, dtype) if name in ("text_config", "vision_config") else part
        for name, part in config.items()
    }
    parts.pop("torch_dtype", None)
    return {**parts, "dtype": dtype}
