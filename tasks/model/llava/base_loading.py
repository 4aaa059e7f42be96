"""Load the base model of a LLaVA directory; configuration and tensor headers are checked first, in about a second."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import ModelError
from tasks.model.configuration import (
    CONFIG,
    COPY_AGAIN,
    COPY_PUBLISHED,
    GENERATION,
    lacks,
    read_config,
    read_model_config,
    readable,
)
from tasks.model.llava.model_config import image_tokens_of, require_model_config
from tasks.model.llava.original_config import CLIP, SELECT_LAYER
from tasks.model.llava.original_layout import find_tower, is_original, original_tensors
from tasks.model.llava.tensor_names import NAMES
from tasks.model.weight_checks import require_complete, require_floats, require_plain_weights
from tasks.model.weights import tensors_of

if TYPE_CHECKING:
    import torch
    from transformers import LlavaForConditionalGeneration

# tower, layer and features of almost every model: known to give one feature per image token
USUAL_FEATURES = (CLIP, SELECT_LAYER, "default")


def load_base(folder: Path, dtype: "torch.dtype", **options: Any) -> "LlavaForConditionalGeneration":
    """Load the LLaVA model of a directory in evaluation mode; raises ModelError if its weights are incomplete.

    Under ZeRO-3 each rank keeps only its part, in either layout. The caller must then call `require_loadable` before
    it joins DeepSpeed, which would partition the model that is built for the check. `options` go to from_pretrained.
    """
    from transformers import LlavaForConditionalGeneration
    from transformers.integrations import is_deepspeed_zero3_enabled
    from transformers.utils.logging import disable_progress_bar

    # it would fill the output of a command and the log of a run
    disable_progress_bar()
    if not is_deepspeed_zero3_enabled():
        require_loadable(folder)
    source: dict[str, Any] = {"pretrained_model_name_or_path": folder}
    if is_original(read_config(folder)):
        source = _original_source(folder)
    # transformers fills missing tensors with random values and only warns
    strict = {"output_loading_info": True, "ignore_mismatched_sizes": False}
    # also catches a truncated or invalid index
    with readable("weights", folder, COPY_AGAIN):
        model, info = LlavaForConditionalGeneration.from_pretrained(**source, dtype=dtype, **strict, **options)
    if info["missing_keys"]:
        raise lacks(folder, min(info["missing_keys"]))
    model.name_or_path = model.config._name_or_path = str(folder)
    return model.eval()


def _original_source(folder: Path) -> dict[str, Any]:
    """The arguments of from_pretrained for a directory in the original layout."""
    from transformers import GenerationConfig, LlavaConfig

    tower = find_tower(folder, read_config(folder))
    config = LlavaConfig.from_dict(require_model_config(folder))
    source = {"pretrained_model_name_or_path": None, "config": config, "state_dict": original_tensors(folder, tower)}
    if (folder / GENERATION).is_file():
        source["generation_config"] = GenerationConfig.from_pretrained(folder)
    return source


def require_loadable(folder: Path, tower: Path | None = None) -> None:
    """Raise ModelError for a model that cannot be loaded, trained or run, before a weight is read.

    `tower` overrides the vision tower that an original model names.
    """
    written, config = read_model_config(folder), require_model_config(folder, tower)
    require_plain_weights(folder, written)
    with readable("weights", folder, COPY_AGAIN):
        if is_original(written):
            tensors = original_tensors(folder, tower or find_tower(folder, written))
        else:
            tensors = tensors_of(folder, NAMES)
    require_floats(folder, tensors)
    model = _built_on_meta(folder, config)
    require_complete(folder, model, tensors, NAMES)
    image_tokens = image_tokens_of(folder, config)
    _require_features(folder, model, image_tokens)
    if image_tokens >= (positions := model.config.text_config.max_position_embeddings):
        raise ModelError(
            f"max_position_embeddings of {folder}/{CONFIG} is {positions}, and an image alone takes {image_tokens} "
            f"tokens: {COPY_PUBLISHED}."
        )


def _built_on_meta(folder: Path, config: dict[str, Any]) -> "LlavaForConditionalGeneration":
    """Build the model without weights; raises ModelError if that fails or a special token has no embedding row."""
    import torch
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    with readable("configuration", folder):
        llava = LlavaConfig.from_dict(config)
        rows, text = llava.text_config.vocab_size, llava.text_config
        # a negative id counts from the end, as in a list
        first_allowed = {"pad_token_id": (text.pad_token_id, -rows), "image_token_index": (llava.image_token_id, 0)}
        for name, (token, first) in first_allowed.items():
            if token is not None and not first <= token < rows:
                raise ModelError(
                    f"{name} of {folder}/{CONFIG} is {token}, outside the {rows} rows of the model's embedding: set it "
                    "to a token that the model has."
                )
        with torch.device("meta"):
            return LlavaForConditionalGeneration(llava)


def _require_features(folder: Path, model: "LlavaForConditionalGeneration", expected: int) -> None:
    """Raise ModelError unless tower and projector produce one feature per image token."""
    import torch

    config, vision = model.config, model.config.vision_config
    if (vision.model_type, config.vision_feature_layer, config.vision_feature_select_strategy) == USUAL_FEATURES:
        return
    with readable("configuration", folder), torch.device("meta"):
        image = torch.empty(1, 3, vision.image_size, vision.image_size)
        features = len(model.get_image_features(pixel_values=image).pooler_output[0])
    if features != expected:
        raise ModelError(
            f"The vision tower of {folder} ({vision.model_type}) makes {features} features of an image and LLaVA 1.5 "
            f"takes {expected}: towers without a class token cannot be used; give a model with CLIP's tower."
        )
