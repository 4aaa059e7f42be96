"""The files next to the weights of a generic family's model: configuration, tokenizer, processor, template, licence."""

import shutil
from pathlib import Path

from tasks.files import write_json
from tasks.model.chat.hub_processor import VIDEO_SETTINGS
from tasks.model.config_files import FROM_BASE_FIRST, first_found, require_found, typed_config, with_ties
from tasks.model.configuration import CONFIG, PREPROCESSOR, PROCESSOR, make_portable
from tasks.model.stored_model import Slot, StoredModel, renumbered

TEMPLATES = ("chat_template.jinja", "chat_template.json")
# from the checkpoint first: later images and prompts must be prepared as in training
AS_TRAINED = (PREPROCESSOR, PROCESSOR, VIDEO_SETTINGS, *TEMPLATES)


def config_files(source: StoredModel, tuned: Path) -> dict[str, Path]:
    """Find the files next to a model's weights, in the checkpoint or the base; raises ModelError if one is missing."""
    folder = source.folder
    found = first_found(FROM_BASE_FIRST, (folder, tuned))
    # a processor's files belong together: all from one of the two
    handling = tuned if any((tuned / name).is_file() for name in (PREPROCESSOR, PROCESSOR)) else folder
    found |= first_found(AS_TRAINED, (handling,))
    require_found(found, folder, tuned)
    return found


def write_config_files(source: StoredModel, tuned: Path, dtype: str, out: Path) -> None:
    """Write all files but weights, model card and provenance to `out`; `dtype` is a torch dtype's name or "base"."""
    write_json(out / CONFIG, typed_config(with_ties(source), dtype), indent=2)
    for name, file in config_files(source, tuned).items():
        shutil.copyfile(file, out / name)
    make_portable(out)


def slots(model: StoredModel) -> dict[str, Slot]:
    """Where each tensor is written, by canonical name; shards stay shards, and names are those of the hub."""
    tensors = {name: tensor for name, tensor in model.tensors.items() if not name.endswith(model.names.buffers)}
    files = renumbered(tensors.values())
    return {name: Slot(files[tensor.file], model.names.published(name)) for name, tensor in tensors.items()}
