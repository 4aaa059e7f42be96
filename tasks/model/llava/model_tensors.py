"""The tensors of a LLaVA directory by canonical name: where they are stored in either layout, and where to write them.

transformers   as llava-hf publishes it, with the tower in the shards
llava          the original: model.mm_projector in the shards, the tower in a separate folder
"""

from pathlib import Path

from tasks.choices import Layout
from tasks.model.configuration import read_model_config, require_parts
from tasks.model.llava.model_config import require_model_config
from tasks.model.llava.original_config import with_defaults
from tasks.model.llava.original_layout import find_tower, is_original
from tasks.model.llava.tensor_names import (
    BUFFERS,
    NAMES,
    TOWER_PREFIX,
    is_tower_tensor,
    original_name,
    original_tower_name,
    published_name,
)
from tasks.model.stored_model import SINGLE, Slot, StoredModel, renumbered, require_usable
from tasks.model.stored_tensors import require_indexed, stored_tensors
from tasks.model.weight_checks import require_plain_weights

TOWER_FOLDER = "vision_tower"


def read_base(folder: Path, tower: Path | None = None) -> StoredModel:
    """Read configuration and tensor headers; raises ModelError if incomplete, damaged or not a LLaVA 1.5.

    `tower` overrides the vision tower that an original model names.
    """
    written, config = read_model_config(folder), require_model_config(folder, tower)
    require_plain_weights(folder, written)
    require_parts(folder, config)
    tensors = stored_tensors(folder, NAMES)
    require_indexed(folder, tensors)
    original = is_original(written)
    separate = original and not any(name.startswith(TOWER_PREFIX) for name in tensors)
    tower = (tower or find_tower(folder, written)) if separate else None
    if tower is not None:
        tensors |= {
            name: value for name, value in stored_tensors(tower, NAMES, TOWER_PREFIX).items() if is_tower_tensor(name)
        }
    layout: Layout = "llava" if original else "transformers"
    ties = bool(with_defaults(config).get("tie_word_embeddings"))
    base = StoredModel(folder, NAMES, layout, written, config, tensors, ties, tower)
    require_usable(base)
    return base


def slots(model: StoredModel, layout: Layout) -> dict[str, Slot]:
    """Where each tensor is written in a directory of that layout, by canonical name; shards stay shards.

    In transformers' layout the names are those that llava-hf publishes, whichever version wrote the model's files.
    """
    if layout == model.layout:
        tensors = {name: tensor for name, tensor in model.tensors.items() if tensor.file.parent == model.folder}
    else:
        tensors = {name: tensor for name, tensor in model.tensors.items() if not name.endswith(BUFFERS)}
    files = renumbered(tensors.values())
    if layout == "transformers":
        return {name: Slot(files[tensor.file], published_name(name)) for name, tensor in tensors.items()}
    if layout == model.layout:
        return {name: Slot(files[tensor.file], tensor.name) for name, tensor in tensors.items()}
    rest = {name: tensor for name, tensor in tensors.items() if not name.startswith(TOWER_PREFIX)}
    files, tower_file = renumbered(rest.values()), f"{TOWER_FOLDER}/{SINGLE}"
    tower = {name: Slot(tower_file, original_tower_name(name)) for name in tensors if name not in rest}
    return tower | {name: Slot(files[tensor.file], original_name(name)) for name, tensor in rest.items()}
