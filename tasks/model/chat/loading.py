"""Load a model of a generic family; configuration and tensor headers are checked first, in about a second."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import ModelError, shortened
from tasks.model.configuration import (
    CONFIG,
    COPY_AGAIN,
    COPY_PUBLISHED,
    lacks,
    read_model_config,
    readable,
    require_bounded_layers,
    require_generation_config,
    require_parts,
)
from tasks.model.stored_model import StoredModel, require_usable
from tasks.model.stored_tensors import require_indexed, stored_tensors
from tasks.model.tensor_names import TensorNames
from tasks.model.weight_checks import require_complete, require_floats, require_plain_weights
from tasks.model.weights import tensors_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel


def require_config(folder: Path) -> dict[str, Any]:
    """Read the configuration of a directory with transformers' defaults, as JSON values.

    Raises ModelError if config.json or generation_config.json is missing or damaged.
    """
    written = read_model_config(folder)
    require_generation_config(folder)
    require_bounded_layers(folder, written)
    complete = with_defaults(written, folder)
    require_parts(folder, complete)
    return complete


def with_defaults(config: Mapping[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """A config.json with transformers' defaults; raises ModelError if it is damaged. `folder` is where it is."""
    with readable("configuration", folder or Path(CONFIG)):
        complete: dict[str, Any] = _typed(config).to_dict()
    return complete


def image_token_of(config: Mapping[str, Any], folder: Path) -> object:
    """The id of the image token in a config.json under its old or new name; raises ModelError if it is damaged."""
    with readable("configuration", folder):
        return getattr(_typed(config), "image_token_id", None)


def _typed(config: Mapping[str, Any]) -> "PreTrainedConfig":
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return CONFIG_MAPPING[str(config["model_type"])].from_dict(dict(config))


def load_base(folder: Path, names: TensorNames, dtype: "torch.dtype", **options: Any) -> "PreTrainedModel":
    """Load the model of a directory in evaluation mode; raises ModelError if its weights are incomplete.

    Under ZeRO-3 each rank keeps only its part. The caller must then call `require_loadable` before it joins DeepSpeed,
    which would partition the model that is built for the check. `options` go to from_pretrained.
    """
    from transformers import AutoModelForImageTextToText
    from transformers.integrations import is_deepspeed_zero3_enabled
    from transformers.utils.logging import disable_progress_bar

    # it would fill the output of a command and the log of a run
    disable_progress_bar()
    if not is_deepspeed_zero3_enabled():
        require_loadable(folder, names)
    # transformers fills missing tensors with random values and only warns
    strict = {"output_loading_info": True, "ignore_mismatched_sizes": False}
    # also catches a truncated or invalid index
    with readable("weights", folder, COPY_AGAIN):
        model, info = AutoModelForImageTextToText.from_pretrained(str(folder), dtype=dtype, **strict, **options)
    if info["missing_keys"]:
        raise lacks(folder, min(info["missing_keys"]))
    loaded: PreTrainedModel = model.eval()
    return loaded


def require_loadable(folder: Path, names: TensorNames) -> None:
    """Raise ModelError for a model that cannot be loaded, trained or run, before a weight is read."""
    config = require_config(folder)
    require_plain_weights(folder, read_model_config(folder))
    with readable("weights", folder, COPY_AGAIN):
        tensors = tensors_of(folder, names)
    require_floats(folder, tensors)
    require_complete(folder, built_on_meta(folder, config), tensors, names)


def built_on_meta(folder: Path, config: Mapping[str, Any]) -> "PreTrainedModel":
    """Build the model without weights; raises ModelError if that fails or there is no token for images."""
    import torch
    from transformers import AutoModelForImageTextToText

    with readable("configuration", folder):
        typed = _typed(config)
        token = getattr(typed, "image_token_id", None)
        if type(token) is not int or token < 0:
            raise ModelError(f"image_token_id of {folder}/{CONFIG} is {shortened(token)}: {COPY_PUBLISHED}.")
        with torch.device("meta"):
            built: PreTrainedModel = AutoModelForImageTextToText.from_config(typed)
    return built


def read_stored(folder: Path, names: TensorNames) -> StoredModel:
    """Read configuration and tensor headers; raises ModelError if incomplete, damaged or without a projector."""
    config, written = require_config(folder), read_model_config(folder)
    require_plain_weights(folder, written)
    tensors = stored_tensors(folder, names)
    require_indexed(folder, tensors)
    ties = bool(config.get("tie_word_embeddings"))
    stored = StoredModel(folder, names, "transformers", written, config, tensors, ties)
    require_usable(stored)
    return stored
