"""The files beside the weights: configuration, tokenizer, image handling, prompt template, licence."""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tasks.errors import ModelError
from tasks.files import write_json, write_text
from tasks.merging.tensor_merge import BASE_DTYPE
from tasks.model.configuration import read_settings
from tasks.model.llava.chat_template import chat_template
from tasks.model.llava.layouts import TOWER_FOLDER
from tasks.model.llava.original_config import original_config, tower_config, with_defaults
from tasks.model.llava.tokenizer import FAST, SENTENCEPIECE, load_tokenizer, require_readable
from tasks.model.loading import PREPROCESSOR, PROCESSOR, load_image_processor
from tasks.model.model_tensors import BaseModel, Layout
from tasks.model.portable import make_portable, write_settings

# As the model was fed in training, so it must be fed afterwards.
IMAGE_HANDLING = (PREPROCESSOR, PROCESSOR)
# A base may come with another one than the model was trained and is asked with.
TEMPLATE = "chat_template.jinja"
TOKENIZER = (
    *("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "merges.txt"),
)
LICENCES = ("LICENSE", "LICENSE.txt", "NOTICE")
FROM_BASE_FIRST = ("generation_config.json", *TOKENIZER, *LICENCES)
NEEDED = (("tokenizer_config.json",), IMAGE_HANDLING)


def companions(source: BaseModel, tuned: Path) -> dict[str, Path]:
    """The small files of a model and where each comes from; ModelError when one is lacking."""
    folder = source.folder
    found = _first_found(FROM_BASE_FIRST, (folder, tuned))
    if source.layout == "llava":
        # an adapter of the original says in its config.json how its images were padded
        return found | _first_found((*IMAGE_HANDLING, "config.json"), (tuned,))
    found |= _first_found(IMAGE_HANDLING, (tuned, folder)) | _first_found((TEMPLATE,), (tuned,))
    for names in NEEDED:
        if not any(name in found for name in names):
            raise ModelError(f"Neither {folder} nor {tuned} has {names[0]}: copy it from the base model.")
    return found


def _first_found(names: Iterable[str], folders: tuple[Path, ...]) -> dict[str, Path]:
    places = {name: [folder / name for folder in folders if (folder / name).is_file()] for name in names}
    return {name: found[0] for name, found in places.items() if found}


def require_whole(files: Mapping[str, Path]) -> None:
    """Raise ModelError where a file beside the weights is damaged: most of them are copied as they are."""
    for name, file in files.items():
        if name in (FAST, SENTENCEPIECE):
            require_readable(file)
        elif file.suffix == ".json":
            read_settings(file)


def write_companions(source: BaseModel, tuned: Path, layout: Layout, dtype: str, out: Path, final: Path) -> None:
    """Write all files of a model directory but weights, card and provenance, to `out`, which will be `final`.

    The folders of the weights are there already: in the original layout one of them says that the tower is written.
    """
    found = companions(source, tuned)
    config = typed_config(_with_ties(source), dtype)
    if layout == "llava":
        _write_original(source, tuned, dtype, out, final)
        wanted = [name for name in found if name in FROM_BASE_FIRST]
    elif source.layout == "llava":
        config["image_token_index"] = _save_reader(source, tuned, out)
        write_json(out / "config.json", config, indent=2)
        wanted = ["generation_config.json", "tokenizer.model", *LICENCES]
    else:
        write_json(out / "config.json", config, indent=2)
        wanted = list(found)
    for name in wanted:
        if name in found:
            shutil.copyfile(found[name], out / name)
    if layout == "transformers":
        _complete_processor(source, tuned, out)
    make_portable(out)


def _complete_processor(source: BaseModel, tuned: Path, out: Path) -> None:
    """Write the prompt template where there is none yet, and what transformers' processor needs of the model.

    Images are handled as `rsvlm predict` does it, said in both files: transformers 4 reads one, 5 the other first.
    """
    # where there is no tokenizer at all, nobody has use for a template
    if not (out / TEMPLATE).is_file() and any((out / name).is_file() for name in (FAST, SENTENCEPIECE)):
        write_text(out / TEMPLATE, chat_template(_tokenizer(source, out)))
    images = json.loads(load_image_processor(source.folder, tuned).to_json_string())
    write_settings(out / PREPROCESSOR, images)
    written = read_settings(out / PROCESSOR) if (out / PROCESSOR).is_file() else {"processor_class": "LlavaProcessor"}
    write_settings(out / PROCESSOR, {**written, "image_processor": images, **_image_tokens(source)})


def _image_tokens(source: BaseModel) -> dict[str, Any]:
    """What decides how many tokens an image has; older files lack some of it."""
    whole = with_defaults(source.config)
    return {
        "patch_size": whole["vision_config"]["patch_size"],
        # the class token, which every tower has that is taken
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": whole["vision_feature_select_strategy"],
    }


def _tokenizer(source: BaseModel, out: Path) -> Any:
    # the library that reads tokenizer.json raises a bare Exception where it cannot
    try:
        return load_tokenizer(out)
    except Exception as error:
        raise ModelError(
            f"The tokenizer of {source.folder} cannot be read ({error}): copy it from where the model was published."
        ) from None


def _save_reader(source: BaseModel, tuned: Path, out: Path) -> int:
    """Write the tokenizer, image handling and prompt template of an original model; returns the image token's id."""
    from tasks.model.llava.processor_files import save_reader
    from tasks.model.loading import load_reader

    reader = load_reader(source.folder, tuned)
    save_reader(reader, out)
    return reader.image_token_id


def _write_original(source: BaseModel, tuned: Path, dtype: str, out: Path, final: Path) -> None:
    from tasks.model.loading import load_reader

    processor = load_reader(source.folder, tuned).image_processor
    if source.layout == "llava":
        aspect = "pad" if processor.do_pad else "square"
        config = {**typed_config(source.written, dtype, "torch_dtype"), "image_aspect_ratio": aspect}
        name = str(config.get("mm_vision_tower", ""))
        # a folder beside the base is not beside the new directory; a name on the hub holds everywhere
        if source.tower is not None and "/" not in name and not (final.absolute().parent / name).is_dir():
            config["mm_vision_tower"] = str(source.tower)
    else:
        config = original_config(typed_config(_with_ties(source), dtype), processor.do_pad, tower="")
    if (out / TOWER_FOLDER).is_dir():
        # the reference looks for it from where it is started: only a whole path is found from everywhere
        config["mm_vision_tower"] = str(final.absolute() / TOWER_FOLDER)
        write_json(out / TOWER_FOLDER / "config.json", tower_config(source.config), indent=2)
        processor.save_pretrained(out / TOWER_FOLDER)
    write_json(out / "config.json", config, indent=2)


def _with_ties(source: BaseModel) -> dict[str, Any]:
    """The configuration, which says twice whether the head is the embedding: transformers 4 asks the second place."""
    config, tied = source.config, source.tied
    parts = (config, config["text_config"])
    if not tied and not any(part.get("tie_word_embeddings") for part in parts):
        return config
    return {**config, "tie_word_embeddings": tied, "text_config": {**parts[1], "tie_word_embeddings": tied}}


def typed_config(config: dict[str, Any], dtype: str, key: str = "dtype") -> dict[str, Any]:
    """A configuration with the type of the weights that are written, under the name `key`."""
    if dtype == BASE_DTYPE:
        return dict(config)
    parts = {
        name: typed_config(part, dtype, key) if name in ("text_config", "vision_config") else part
        for name, part in config.items()
        if name not in ("torch_dtype", "dtype")
    }
    return {**parts, key: dtype}
