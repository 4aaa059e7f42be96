"""Convert config.json between the original LLaVA layout and transformers."""

from pathlib import Path
from typing import Any

from tasks.errors import SHOWN_CHARACTERS, ModelError, shortened

# The byte 0xFF occurs in no UTF-8 text, so no text is ever encoded as this piece: it serves as the image token. A new
# token would widen the vocabulary and change the softmax.
IMAGE_PIECE, IMAGE_PIECE_ID = "<0xFF>", 258
TEXT_KEYS = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "hidden_act", "max_position_embeddings", "initializer_range", "rms_norm_eps", "pad_token_id",
    "bos_token_id", "eos_token_id", "tie_word_embeddings", "rope_theta", "attention_bias", "attention_dropout",
)  # fmt: skip
VISION_KEYS = (
    "hidden_size", "intermediate_size", "projection_dim", "num_hidden_layers", "num_attention_heads", "num_channels",
    "image_size", "patch_size", "hidden_act", "layer_norm_eps", "attention_dropout", "initializer_range",
    "initializer_factor",
)  # fmt: skip
CLIP = "clip_vision_model"
# the layer of the tower whose features LLaVA 1.5 uses
SELECT_LAYER = -2
# mm_vision_select_feature of the original: vision_feature_select_strategy of transformers
STRATEGIES = {"patch": "default", "cls_patch": "full"}
# LLaVA 1.5's values; a config.json with other values belongs to another model
EXPECTED = {
    "mm_projector_type": ("mlp2x_gelu",),
    "mm_use_im_start_end": (False,),
    "mm_use_im_patch_token": (False,),
    "mm_vision_select_feature": tuple(STRATEGIES),
    "image_aspect_ratio": ("pad", "square"),
}
ROPE_THETA = 10000.0


def transformers_config(folder: Path, config: dict[str, Any], tower: dict[str, Any]) -> dict[str, Any]:
    """Build the transformers LLaVA configuration from an original config.json and its tower's config.json.

    Raises ModelError if the model is not LLaVA 1.5 or the tower does not fit it.
    """
    for key, allowed in EXPECTED.items():
        if config.get(key, allowed[0]) not in (*allowed, None):
            raise ModelError(
                f"{folder} has {key} = {config[key]!r}, which is not LLaVA 1.5: give a model of LLaVA 1.5."
            )
    vision = tower.get("vision_config", tower)
    _require_fitting_tower(folder, config, vision)
    text = {key: config[key] for key in TEXT_KEYS if config.get(key) is not None}
    dtype = config.get("torch_dtype") or config.get("dtype") or "float32"
    return {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "text_config": {"model_type": "llama", **text, **_rope_parameters(config), "dtype": dtype},
        "vision_config": {
            "model_type": CLIP,
            **{key: vision[key] for key in VISION_KEYS if key in vision},
            "dtype": dtype,
        },
        "image_token_index": config.get("image_token_index", IMAGE_PIECE_ID),
        "image_seq_length": (vision["image_size"] // vision["patch_size"]) ** 2,
        "projector_hidden_act": "gelu",
        "vision_feature_layer": config.get("mm_vision_select_layer", SELECT_LAYER),
        "vision_feature_select_strategy": STRATEGIES[config.get("mm_vision_select_feature") or "patch"],
        "tie_word_embeddings": config.get("tie_word_embeddings", False),
        "dtype": dtype,
    }


def _require_fitting_tower(folder: Path, config: dict[str, Any], vision: dict[str, Any]) -> None:
    """Raise ModelError unless the tower is a CLIP of the width that the model was trained with."""
    if vision.get("model_type", CLIP) not in (CLIP, "clip"):
        raise ModelError(
            f"{folder} was given a vision tower of type {shortened(vision['model_type'])}, not LLaVA 1.5's CLIP: "
            f"give {tower_name(config)}."
        )
    width = vision.get("hidden_size")
    if config.get("mm_hidden_size", width) != width:
        raise ModelError(
            f"{folder} needs a vision tower of width {config['mm_hidden_size']}, and this one has {width}: "
            f"give {config.get('mm_vision_tower')}."
        )


def tower_name(config: dict[str, Any]) -> str:
    """The vision tower named in an original config.json; empty if it names none."""
    return str(config.get("mm_vision_tower") or "")


def original_config(config: dict[str, Any], pads: bool, tower: str) -> dict[str, Any]:
    """Build the original LLaVA's config.json from a transformers LLaVA configuration.

    `tower` is the path or name of the vision tower. Raises ModelError for a model that this layout cannot describe.
    """
    complete = with_defaults(config)
    text, vision = complete["text_config"], complete["vision_config"]
    if text.get("model_type") != "llama" or vision.get("model_type") != CLIP:
        raise ModelError(
            f"A {text.get('model_type')} with a {vision.get('model_type')} is not LLaVA 1.5: "
            "only that can be written in the original layout; merge it with --format transformers."
        )
    _require_expressible(complete)
    features = {strategy: feature for feature, strategy in STRATEGIES.items()}
    return {
        "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": "llava_llama",
        **{key: text[key] for key in TEXT_KEYS if text.get(key) is not None},
        **_rope_scaling(text.get("rope_parameters") or {}),
        "image_aspect_ratio": "pad" if pads else "square",
        "image_token_index": complete.get("image_token_index", complete.get("image_token_id")),
        "mm_hidden_size": vision["hidden_size"],
        "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False,
        "mm_vision_select_feature": features[complete["vision_feature_select_strategy"]],
        "mm_vision_select_layer": complete["vision_feature_layer"],
        "mm_vision_tower": tower,
        "tie_word_embeddings": complete.get("tie_word_embeddings", False),
        "torch_dtype": config.get("dtype") or config.get("torch_dtype") or "float32",
        "use_cache": True,
        "use_mm_proj": True,
    }


def _require_expressible(config: dict[str, Any]) -> None:
    """Raise ModelError for a setting that the original layout lacks: its code would compute something else."""
    text = config["text_config"]
    width = text["hidden_size"] // text["num_attention_heads"]
    allowed = {
        "projector_hidden_act": (config.get("projector_hidden_act"), ("gelu",)),
        "multimodal_projector_bias": (config.get("multimodal_projector_bias"), (True,)),
        "mlp_bias": (text.get("mlp_bias"), (None, False)),
        "head_dim": (text.get("head_dim"), (None, width)),
    }
    for name, (value, usual) in allowed.items():
        if value not in usual:
            raise ModelError(
                f"{name} = {value!r} of the base's config.json cannot be written in the original layout: merge it with "
                "--format transformers."
            )


def tower_config(config: dict[str, Any]) -> dict[str, Any]:
    """The config.json of a separate vision tower, from a transformers LLaVA configuration."""
    vision = with_defaults(config)["vision_config"]
    return {
        "architectures": ["CLIPVisionModel"],
        "model_type": CLIP,
        **{key: vision[key] for key in VISION_KEYS if key in vision},
    }


def with_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """Fill in what config.json leaves to transformers' defaults."""
    from transformers import LlavaConfig

    try:
        complete: dict[str, Any] = LlavaConfig.from_dict(config).to_dict()
    # transformers does not validate: a damaged value raises whatever its code runs into
    except Exception as error:
        shown = " ".join(str(error).split())[:SHOWN_CHARACTERS]
        raise ModelError(f"The base's config.json is not understood ({shown}): copy the model again.") from None
    return complete


def _rope_parameters(config: dict[str, Any]) -> dict[str, Any]:
    """Scaled rotary positions under the key of transformers 5, from an original config.json."""
    scaling = config.get("rope_scaling")
    if not scaling:
        return {}
    kind = scaling.get("rope_type") or scaling.get("type", "default")
    return {"rope_parameters": {**scaling, "rope_type": kind, "rope_theta": config.get("rope_theta", ROPE_THETA)}}


def _rope_scaling(rope: dict[str, Any]) -> dict[str, Any]:
    """Rotary positions under the keys of transformers 4, from `rope_parameters`."""
    named: dict[str, Any] = {"rope_theta": rope.get("rope_theta", ROPE_THETA)}
    if rope.get("rope_type", "default") != "default":
        scaling = {key: value for key, value in rope.items() if key not in ("rope_type", "rope_theta")}
        named["rope_scaling"] = {"type": rope["rope_type"], **scaling}
    return named
