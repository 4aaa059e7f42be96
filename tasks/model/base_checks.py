"""Whether a model directory can be loaded: found out from configuration and tensor headers, in about a second."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.errors import ModelError
from tasks.model.configuration import CONFIG, read_model_config, readable, require_model_config
from tasks.model.input_probe import MOST_SIDE
from tasks.model.llava.original_layout import BUFFERS, CLIP, find_tower, is_original, original_tensors, tensors_of

# beside the weights, from before quantisers wrote into config.json
QUANTISERS = {"quantize_config.json": "GPTQ", "quant_config.json": "AWQ"}
ADVICE = "copy the model again"
USUAL = (CLIP, -2, "default")


def require_plain_weights(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise ModelError where a config.json says that the weights are quantised, or in files of other names."""
    if config.get("transformers_weights"):
        raise ModelError(
            f"{folder}/{CONFIG} names its files by transformers_weights, which few programs read: rename them to "
            "model.safetensors, or to shards with their index, and take the setting out."
        )
    parts = [config, *(part for part in config.values() if isinstance(part, dict))]
    written = [part["quantization_config"] for part in parts if part.get("quantization_config")]
    kinds = [found.get("quant_method", "bitsandbytes") if isinstance(found, dict) else found for found in written]
    kinds += [kind for name, kind in QUANTISERS.items() if (folder / name).is_file()]
    if kinds:
        raise ModelError(_quantised(folder, str(kinds[0])))


def _quantised(folder: Path, kind: str) -> str:
    return (
        f"{folder} holds quantised weights ({kind}), and rsvlm trains, answers with and merges float32, float16 and "
        "bfloat16 alone: give the model that it was made from."
    )


def require_loadable(folder: Path, tower: Path | None = None) -> None:
    """Raise ModelError for a model that could not be loaded, trained or asked, before a weight is read.

    `tower` stands for the vision tower that an original model names.
    """
    written, config = read_model_config(folder), require_model_config(folder, tower)
    require_plain_weights(folder, written)
    with readable("weights", folder, ADVICE):
        if is_original(written):
            tensors = original_tensors(folder, tower or find_tower(folder, written))
        else:
            tensors = tensors_of(folder)
    _require_floats(folder, tensors)
    model = _drawn_up(folder, config)
    _require_complete(folder, model, tensors)
    image_tokens = image_tokens_of(folder, config)
    _require_features(folder, model, image_tokens)
    if image_tokens >= (positions := model.config.text_config.max_position_embeddings):
        raise ModelError(
            f"max_position_embeddings of {folder}/{CONFIG} is {positions}, and an image alone takes {image_tokens} "
            "tokens: copy the file from where the model was published."
        )


def _require_floats(folder: Path, tensors: Mapping[str, Any]) -> None:
    import torch

    for name, value in tensors.items():
        if value.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            kind = str(value.dtype).removeprefix("torch.")
            if value.dtype not in (torch.float64, torch.bool):
                raise ModelError(_quantised(folder, f"{name} is {kind}"))
            raise ModelError(
                f"{name} of {folder} is {kind}, and rsvlm trains, answers with and merges float32, float16 and "
                "bfloat16 alone: save the model in one of these."
            )


def _drawn_up(folder: Path, config: dict[str, Any]) -> Any:
    """The model of a configuration without weights; ModelError where there can be none, or its tokens have no rows."""
    import torch
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    with readable("configuration", folder):
        made = LlavaConfig.from_dict(config)
        rows, text = made.text_config.vocab_size, made.text_config
        # a negative one counts from the end, as in a list
        allowed = {"pad_token_id": (text.pad_token_id, -rows), "image_token_index": (made.image_token_id, 0)}
        for name, (token, first) in allowed.items():
            if token is not None and not first <= token < rows:
                raise ModelError(
                    f"{name} of {folder}/{CONFIG} is {token}, outside the {rows} rows of the model's embedding: set it "
                    "to a token that the model has."
                )
        with torch.device("meta"):
            return LlavaForConditionalGeneration(made)


def _require_complete(folder: Path, model: Any, tensors: Mapping[str, Any]) -> None:
    """Raise ModelError where a tensor is missing or of another shape."""
    # either of the two names of a tensor that stands for both
    tied = model.get_expanded_tied_weights_keys(all_submodels=True)
    tied |= {source: name for name, source in tied.items()}
    for name, expected in model.state_dict().items():
        if name not in tensors:
            if tied.get(name) in tensors or name.endswith(BUFFERS):
                continue
            raise ModelError(f"{folder} lacks {name}: {ADVICE}.")
        if tensors[name].shape != expected.shape:
            raise ModelError(
                f"{name} of {folder} has the shape {list(tensors[name].shape)}, and its {CONFIG} makes it "
                f"{list(expected.shape)}: {ADVICE}."
            )


def _require_features(folder: Path, model: Any, expected: int) -> None:
    """Raise ModelError unless tower and projector make of an image as many features as it has tokens."""
    import torch

    config, vision = model.config, model.config.vision_config
    # what nearly every model has is known to fit, and need not be computed
    if (vision.model_type, config.vision_feature_layer, config.vision_feature_select_strategy) == USUAL:
        return
    with readable("configuration", folder), torch.device("meta"):
        image = torch.empty(1, 3, vision.image_size, vision.image_size)
        made = len(model.get_image_features(pixel_values=image).pooler_output[0])
    if made != expected:
        raise ModelError(
            f"The vision tower of {folder} ({vision.model_type}) makes {made} features of an image and LLaVA 1.5 takes "
            f"{expected}: towers without a class token cannot be used; give a model with CLIP's tower."
        )


def image_tokens_of(folder: Path, config: dict[str, Any]) -> int:
    """How many tokens an image takes: one a patch, and one for the class token where all features are read.

    Raises ModelError where there is no patch, or more than memory has room for.
    """
    with readable("configuration", folder):
        vision = config["vision_config"]
        side, patch = vision["image_size"], vision["patch_size"]
        if not 0 < patch <= side <= MOST_SIDE:
            raise ModelError(
                f"{folder}/{CONFIG} has images of {side} pixels and patches of {patch}: copy it from where the model "
                "was published."
            )
        return int((side // patch) ** 2) + (config.get("vision_feature_select_strategy") == "full")
