"""The config.json of the original LLaVA layout, made of a transformers LLaVA configuration."""

from typing import Any

from tasks.errors import SHOWN_CHARACTERS, ModelError
from tasks.model.llava.original_layout import STRATEGIES, TEXT_KEYS, VISION_KEYS


def original_config(config: dict[str, Any], pads: bool, tower: str) -> dict[str, Any]:
    """What the original LLaVA reads; `tower` is where it finds its vision tower.

    Raises ModelError for a model that the original has no words for.
    """
    whole = with_defaults(config)
    text, vision = whole["text_config"], whole["vision_config"]
    if text.get("model_type") != "llama" or vision.get("model_type") != "clip_vision_model":
        raise ModelError(
            f"A {text.get('model_type')} with a {vision.get('model_type')} is not LLaVA 1.5: "
            "only that can be written in the original layout; merge it with --format transformers."
        )
    _require_worded(whole)
    features = {strategy: feature for feature, strategy in STRATEGIES.items()}
    return {
        "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": "llava_llama",
        **{key: text[key] for key in TEXT_KEYS if text.get(key) is not None},
        **_rope(text.get("rope_parameters") or {}),
        "image_aspect_ratio": "pad" if pads else "square",
        "image_token_index": whole.get("image_token_index", whole.get("image_token_id")),
        "mm_hidden_size": vision["hidden_size"],
        "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False,
        "mm_vision_select_feature": features[whole["vision_feature_select_strategy"]],
        "mm_vision_select_layer": whole["vision_feature_layer"],
        "mm_vision_tower": tower,
        "tie_word_embeddings": whole.get("tie_word_embeddings", False),
        "torch_dtype": config.get("dtype") or config.get("torch_dtype") or "float32",
        "use_cache": True,
        "use_mm_proj": True,
    }


def _require_worded(config: dict[str, Any]) -> None:
    """Raise ModelError for a setting that the original code has no words for, and would compute otherwise."""
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
    """The config.json of the vision tower's own folder."""
    vision = with_defaults(config)["vision_config"]
    return {
        "architectures": ["CLIPVisionModel"],
        "model_type": "clip_vision_model",
        **{key: vision[key] for key in VISION_KEYS if key in vision},
    }


def with_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with all that its file leaves to transformers' defaults."""
    from transformers import LlavaConfig

    try:
        whole: dict[str, Any] = LlavaConfig.from_dict(config).to_dict()
    # transformers raises whatever it stumbles over
    except Exception as error:
        said = " ".join(str(error).split())[:SHOWN_CHARACTERS]
        raise ModelError(f"The base's config.json is not understood ({said}): copy the model again.") from None
    return whole


def _rope(rope: dict[str, Any]) -> dict[str, Any]:
    """Positions, as transformers 4 names them."""
    named: dict[str, Any] = {"rope_theta": rope.get("rope_theta", 10000.0)}
    if rope.get("rope_type", "default") != "default":
        stretched = {key: value for key, value in rope.items() if key not in ("rope_type", "rope_theta")}
        named["rope_scaling"] = {"type": rope["rope_type"], **stretched}
    return named
