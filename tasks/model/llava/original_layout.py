"""The original LLaVA layout: a LLaMA with the projector in its shards, and the vision tower elsewhere.

    config.json            model_type llava or llava_llama, mm_vision_tower, mm_projector_type, ...
    pytorch_model*.bin     or model*.safetensors: model.layers..., model.mm_projector..., lm_head
    tokenizer.model        sentencepiece, without a token for the image (or a tokenizer.json that has one, and
                           image_token_index in config.json)

It is read as a transformers LLaVA, in memory: its vocabulary stays as it is, so that logits and loss are those of
the reference.
"""

from pathlib import Path
from typing import Any

from tasks.errors import ModelError, shortened
from tasks.model.hub import beside, directory_of, find_model, local_model
from tasks.model.llava.tensor_names import canonical_name
from tasks.model.weights import read_tensors, weight_files

MODEL_TYPES = ("llava", "llava_llama")
# A byte that no UTF-8 text holds: its piece is never made of text, and stands for the image. A new token would
# widen the vocabulary, and with it the softmax.
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
STRATEGIES = {"patch": "default", "cls_patch": "full"}
# What LLaVA 1.5 is; a model that says otherwise is another.
EXPECTED = {
    "mm_projector_type": ("mlp2x_gelu",),
    "mm_use_im_start_end": (False,),
    "mm_use_im_patch_token": (False,),
    "mm_vision_select_feature": tuple(STRATEGIES),
    "image_aspect_ratio": ("pad", "square"),
}
TOWER_PREFIX = "model.vision_tower."
# Buffers that older versions wrote, and that follow from the configuration.
BUFFERS = ("rotary_emb.inv_freq", "embeddings.position_ids")


def is_original(config: dict[str, Any]) -> bool:
    """Whether a config.json is of the original LLaVA's layout."""
    return config.get("model_type") in MODEL_TYPES and "mm_projector_type" in config and "vision_config" not in config


def transformers_config(folder: Path, config: dict[str, Any], tower: dict[str, Any]) -> dict[str, Any]:
    """The transformers LLaVA configuration of an original model and its tower's config.json.

    Raises ModelError when it is no LLaVA 1.5 or the tower is another.
    """
    for key, allowed in EXPECTED.items():
        if config.get(key, allowed[0]) not in (*allowed, None):
            raise ModelError(
                f"{folder} has {key} = {config[key]!r}, which is not LLaVA 1.5: give a model of LLaVA 1.5."
            )
    vision = tower.get("vision_config", tower)
    if vision.get("model_type", CLIP) not in (CLIP, "clip"):
        raise ModelError(
            f"{folder} was given a vision tower of type {shortened(vision['model_type'])}, not LLaVA 1.5's CLIP: "
            f"give {tower_name(config)}."
        )
    width = vision.get("hidden_size")
    if config.get("mm_hidden_size", width) != width:
        raise ModelError(
            f"{folder} was made for a vision tower of width {config['mm_hidden_size']}, and this one has {width}: "
            f"give {config.get('mm_vision_tower')}."
        )
    text = {key: config[key] for key in TEXT_KEYS if config.get(key) is not None}
    dtype = config.get("torch_dtype") or config.get("dtype") or "float32"
    return {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "text_config": {"model_type": "llama", **text, **_rope(config), "dtype": dtype},
        "vision_config": {
            "model_type": CLIP,
            **{key: vision[key] for key in VISION_KEYS if key in vision},
            "dtype": dtype,
        },
        "image_token_index": config.get("image_token_index", IMAGE_PIECE_ID),
        "image_seq_length": (vision["image_size"] // vision["patch_size"]) ** 2,
        "projector_hidden_act": "gelu",
        "vision_feature_layer": config.get("mm_vision_select_layer", -2),
        "vision_feature_select_strategy": STRATEGIES[config.get("mm_vision_select_feature") or "patch"],
        "tie_word_embeddings": config.get("tie_word_embeddings", False),
        "dtype": dtype,
    }


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """Stretched positions, as transformers 5 names them."""
    scaling = config.get("rope_scaling")
    if not scaling:
        return {}
    kind = scaling.get("rope_type") or scaling.get("type", "default")
    theta = config.get("rope_theta", 10000.0)
    return {"rope_parameters": {**scaling, "rope_type": kind, "rope_theta": theta}}


def find_tower(folder: Path, config: dict[str, Any], name: str | None = None) -> Path:
    """The directory of an original model's vision tower: in or beside the model, by its path, or from the hub.

    `name` stands for the one that the model's config.json says. Raises ModelError where it cannot be had.
    """
    wanted = name or tower_name(config)
    try:
        return _tower_directory(folder, config, name) or find_model(wanted)
    except ModelError:
        raise tower_error(folder, wanted) from None


def tower_error(folder: Path, wanted: str) -> ModelError:
    """What is said where the tower of an original model cannot be had."""
    return ModelError(
        f"The vision tower {wanted!r} of {folder} is not on this machine: put its directory beside the model as "
        f"{folder.parent / Path(wanted).name}, or, in an experiment, set model.vision_tower to it."
    )


def local_tower(folder: Path, config: dict[str, Any], name: str | None = None) -> Path | None:
    """The same where it is on this machine, else None; nothing is downloaded."""
    return _tower_directory(folder, config, name) or local_model(name or tower_name(config))


def _tower_directory(folder: Path, config: dict[str, Any], name: str | None) -> Path | None:
    # of a link to a model both the link's neighbours and the model's own
    places = (folder, folder.parent, folder.resolve().parent)
    # what the model itself says may be a path on another machine: beside the model the last part of it is enough
    return beside(tower_name(config), places) if name is None else directory_of(name, places)


def tower_name(config: dict[str, Any]) -> str:
    """The vision tower that an original model's config.json names; empty where it names none."""
    return str(config.get("mm_vision_tower") or "")


def original_tensors(folder: Path, tower: Path) -> dict[str, Any]:
    """All tensors of an original model and its tower by canonical name, mapped from the disk.

    A tower in the model's own shards was trained with it and comes first.
    """
    own = tensors_of(folder)
    if not any(name.startswith(TOWER_PREFIX) for name in own):
        own |= {name: value for name, value in tensors_of(tower, TOWER_PREFIX).items() if _is_vision(name)}
    return own


def tensors_of(folder: Path, prefix: str = "") -> dict[str, Any]:
    """The tensors of a directory by canonical name, mapped from the disk; `prefix` is put before their names.

    Raises ModelError where one stands there twice: each reader would take another of them.
    """
    tensors: dict[str, Any] = {}
    for file in weight_files(folder):
        for name, value in read_tensors(file).items():
            if name.endswith(BUFFERS):
                continue
            if tensors.setdefault(canonical_name(f"{prefix}{name}"), value) is not value:
                raise twice(folder, name)
    return tensors


def twice(folder: Path, name: str) -> ModelError:
    """What is said where a directory holds two tensors for one weight."""
    return ModelError(f"{name} stands twice in {folder}: copy the model again.")


def _is_vision(name: str) -> bool:
    """Whether a tensor of a CLIP belongs to its vision tower: the published ones bring a text tower along."""
    return not name.removeprefix(TOWER_PREFIX).startswith(
        ("text_model", "text_projection", "visual_projection", "logit")
    )
