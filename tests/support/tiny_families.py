"""Tiny random models of the generic families, with the processors of `tiny_processors`."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.tiny_processors import PATCH, PATCH_QWEN3, PINPOINTS, SIDE, tiny_processor

# features of language model and vision tower
WIDTH = 32
TEXT = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 2048,
}
QWEN_TEXT = {**TEXT, "num_key_value_heads": 4}
M_ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
QWEN_TOWER = {
    "depth": 2, "hidden_size": WIDTH, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": WIDTH,
}  # fmt: skip
TOWER = {
    "hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": SIDE, "patch_size": PATCH,
}  # fmt: skip
SIGLIP = {**TOWER, "model_type": "siglip_vision_model", "vision_use_head": False}
# by model type: what differs from transformers' defaults; special tokens are added
CONFIGS: Mapping[str, dict[str, Any]] = {
    "qwen2_5_vl": {
        "text_config": {**QWEN_TEXT, "rope_parameters": M_ROPE},
        "vision_config": {**QWEN_TOWER, "patch_size": PATCH, "fullatt_block_indexes": [1], "window_size": 4 * PATCH},
    },
    "qwen3_vl": {
        "text_config": {**QWEN_TEXT, "rope_parameters": {**M_ROPE, "mrope_interleaved": True}},
        "vision_config": {
            **QWEN_TOWER, "patch_size": PATCH_QWEN3, "deepstack_visual_indexes": [0], "num_position_embeddings": 64,
        },
    },
    "llava_next": {
        "text_config": {**TEXT, "model_type": "mistral", "sliding_window": None},
        "vision_config": {**TOWER, "model_type": "clip_vision_model", "num_hidden_layers": 3},
        "image_grid_pinpoints": PINPOINTS[1:5],
    },
    "llava_onevision": {
        "text_config": {**TEXT, "model_type": "qwen2"},
        "vision_config": SIGLIP,
        "image_grid_pinpoints": PINPOINTS,
        "vision_aspect_ratio": "anyres_max_4",
    },
    "internvl": {
        "text_config": {**TEXT, "model_type": "qwen2"},
        "vision_config": {**TOWER, "image_size": [SIDE, SIDE], "patch_size": [PATCH, PATCH]},
        "tie_word_embeddings": False,
    },
    "idefics3": {"text_config": {**TEXT, "model_type": "llama"}, "vision_config": TOWER, "scale_factor": 2},
    "smolvlm": {"text_config": {**TEXT, "model_type": "llama"}, "vision_config": TOWER, "scale_factor": 2},
    "paligemma": {
        "text_config": {**TEXT, "model_type": "gemma"},
        "vision_config": SIGLIP,
        "projection_dim": WIDTH,
        "tie_word_embeddings": True,
    },
}  # fmt: skip
# matrices are multiplied by it, so that answers depend on image and question
SCALE = 6.0
SEED = 11
# the names of Qwen's tokens in its configuration
QWEN_TOKENS = {
    "video_token_id": "<|video_pad|>", "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}  # fmt: skip


@pytest.fixture(scope="session")
def tiny_family_dir(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The directory of a tiny random model by its model type; it must not be changed."""
    folder = tmp_path_factory.mktemp("families")

    @cache
    def written(member: str) -> Path:
        return write_tiny_family(member, folder / member)

    return written


def write_tiny_family(member: str, folder: Path) -> Path:
    """Write a tiny random model of a member (a model type) with its processor files; returns the folder."""
    import torch
    from transformers import AutoModelForImageTextToText

    processor = tiny_processor(member, folder)
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        model = AutoModelForImageTextToText.from_config(_config(member, processor))
        with torch.no_grad():
            for weights in model.parameters():
                # also those that start at zero
                weights.copy_(torch.randn_like(weights) * 0.02 * SCALE if weights.dim() > 1 else weights)
    ids = {f"{role}_token_id": getattr(processor.tokenizer, f"{role}_token_id") for role in ("bos", "eos", "pad")}
    model.generation_config.update(**ids)
    model.save_pretrained(folder)
    return folder


def _config(member: str, processor: Any) -> Any:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    tokenizer = processor.tokenizer
    text = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    known = CONFIGS[member]
    qwen = {key: tokenizer.convert_tokens_to_ids(token) for key, token in QWEN_TOKENS.items()}
    return CONFIG_MAPPING[member].from_dict(
        {
            "model_type": member,
            "image_token_id": processor.image_token_id,
            **(qwen if member.startswith("qwen") else {}),
            **known,
            "text_config": {**known["text_config"], **text},
        }
    )
