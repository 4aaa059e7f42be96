"""The files next to the weights: configuration, tokenizer, image processor, chat template, licence."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.choices import Layout
from tasks.errors import ModelError
from tasks.files import write_json, write_text
from tasks.model.config_files import FROM_BASE_FIRST, LICENCES, first_found, require_found, typed_config, with_ties
from tasks.model.configuration import (
    CONFIG,
    COPY_PUBLISHED,
    GENERATION,
    PREPROCESSOR,
    PROCESSOR,
    make_portable,
    read_settings,
    write_settings,
)
from tasks.model.llava.model_tensors import TOWER_FOLDER
from tasks.model.llava.original_config import original_config, tower_config, with_defaults
from tasks.model.llava.processor import load_image_processor, load_processor
from tasks.model.llava.processor_files import chat_template, save_processor
from tasks.model.llava.tokenizer import load_tokenizer
from tasks.model.stored_model import StoredModel
from tasks.model.tokenizer_files import FAST, SENTENCEPIECE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# from the checkpoint first: later images must be processed as in training
IMAGE_HANDLING = (PREPROCESSOR, PROCESSOR)
# never from the base: its template may not be the one that the model was trained with
TEMPLATE = "chat_template.jinja"


def config_files(source: StoredModel, tuned: Path) -> dict[str, Path]:
    """Find the files next to a model's weights, in the base or the checkpoint; raises ModelError if one is missing."""
    folder = source.folder
    found = first_found(FROM_BASE_FIRST, (folder, tuned))
    if source.layout == "llava":
        # the config.json of an adapter of the original LLaVA states how its images were padded
        return found | first_found((*IMAGE_HANDLING, CONFIG), (tuned,))
    found |= first_found(IMAGE_HANDLING, (tuned, folder)) | first_found((TEMPLATE,), (tuned,))
    require_found(found, folder, tuned)
    return found


def write_config_files(source: StoredModel, tuned: Path, layout: Layout, dtype: str, out: Path, final: Path) -> None:
    """Write all files but weights, model card and provenance to `out`, which will be renamed to `final`.

    The folders for the weights must exist: with a folder for the vision tower, its files are written as well.
    """
    found = config_files(source, tuned)
    config = typed_config(with_ties(source), dtype)
    if layout == "llava":
        _write_original(source, tuned, dtype, out, final)
        wanted = [name for name in found if name in FROM_BASE_FIRST]
    elif source.layout == "llava":
        config["image_token_index"] = _save_processor(source, tuned, out)
        write_json(out / CONFIG, config, indent=2)
        wanted = [GENERATION, SENTENCEPIECE, *LICENCES]
    else:
        write_json(out / CONFIG, config, indent=2)
        wanted = list(found)
    for name in wanted:
        if name in found:
            shutil.copyfile(found[name], out / name)
    if layout == "transformers":
        _complete_processor(source, tuned, out)
    make_portable(out)


def _complete_processor(source: StoredModel, tuned: Path, out: Path) -> None:
    """Write the chat template if there is none, and what transformers' processor needs to know about the model.

    The image settings are those of `rsvlm predict`, in both files: transformers 4 reads one, 5 prefers the other.
    """
    # without a tokenizer, a template has no use
    if not (out / TEMPLATE).is_file() and any((out / name).is_file() for name in (FAST, SENTENCEPIECE)):
        write_text(out / TEMPLATE, chat_template(_tokenizer(source, out)))
    images = json.loads(load_image_processor(source.folder, tuned).to_json_string())
    write_settings(out / PREPROCESSOR, images)
    written = read_settings(out / PROCESSOR) if (out / PROCESSOR).is_file() else {"processor_class": "LlavaProcessor"}
    write_settings(out / PROCESSOR, {**written, "image_processor": images, **_image_tokens(source)})


def _image_tokens(source: StoredModel) -> dict[str, object]:
    """The settings that determine the number of tokens per image; older files lack some of them."""
    complete = with_defaults(source.config)
    return {
        "patch_size": complete["vision_config"]["patch_size"],
        # the class token, which every supported tower has
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": complete["vision_feature_select_strategy"],
    }


def _tokenizer(source: StoredModel, out: Path) -> "PreTrainedTokenizerBase":
    try:
        return load_tokenizer(out)
    # the library that reads tokenizer.json raises a bare Exception
    except Exception as error:
        raise ModelError(f"The tokenizer of {source.folder} cannot be read ({error}): {COPY_PUBLISHED}.") from None


def _save_processor(source: StoredModel, tuned: Path, out: Path) -> int:
    """Write tokenizer, image processor and chat template of an original model; returns the id of the image token."""
    processor = load_processor(source.folder, tuned)
    save_processor(processor, out)
    return processor.image_token_id


def _write_original(source: StoredModel, tuned: Path, dtype: str, out: Path, final: Path) -> None:
    processor = load_processor(source.folder, tuned).image_processor
    if source.layout == "llava":
        aspect = "pad" if processor.do_pad else "square"
        config = {**typed_config(source.written, dtype, "torch_dtype"), "image_aspect_ratio": aspect}
        name = str(config.get("mm_vision_tower", ""))
        # a folder next to the base is not next to the new directory; a name on the hub works everywhere
        if source.tower is not None and "/" not in name and not (final.absolute().parent / name).is_dir():
            config["mm_vision_tower"] = str(source.tower)
    else:
        config = original_config(typed_config(with_ties(source), dtype), processor.do_pad, tower="")
    if (out / TOWER_FOLDER).is_dir():
        # the reference resolves it against the current directory: only an absolute path always works
        config["mm_vision_tower"] = str(final.absolute() / TOWER_FOLDER)
        write_json(out / TOWER_FOLDER / CONFIG, tower_config(source.config), indent=2)
        processor.save_pretrained(out / TOWER_FOLDER)
    write_json(out / CONFIG, config, indent=2)
