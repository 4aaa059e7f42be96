"""Kinds of adapters: the settings for PEFT, and changes to the saved files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tasks.files import read_json, write_json

LANGUAGE = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
WEIGHTS, CONFIG, NON_LORA = "adapter_model.safetensors", "adapter_config.json", "non_lora_trainables.bin"
# tolerance of float32 logits whose spread is about 0.1
EXACT = 1e-5
OLD, ORIGINAL = "language_model.model.", "model."
FULL, BASE, OWN = "in non_lora_trainables.bin", "the base's", "in the adapter"
Change = Callable[[Path], object]


def rewrite(folder: Path, rename: Callable[[str], str]) -> None:
    """Rename tensors and patterns of an adapter, as if another version had trained it."""
    save_file({rename(name): value for name, value in load_file(folder / WEIGHTS).items()}, folder / WEIGHTS)
    config = read_json(folder / CONFIG)
    for key in ("rank_pattern", "alpha_pattern"):
        config[key] = {rename(name): value for name, value in (config.get(key) or {}).items()}
    write_json(folder / CONFIG, config)
    if (folder / NON_LORA).exists():
        tensors = torch.load(folder / NON_LORA, weights_only=True)
        torch.save({rename(name): value for name, value in tensors.items()}, folder / NON_LORA)


def before_4_52(name: str) -> str:
    for new, old in (
        ("model.language_model.", "language_model.model."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
        ("model.vision_tower.", "vision_tower.vision_model."),
    ):
        for prefix in ("base_model.model.", ""):
            if name.startswith(prefix + new):
                return prefix + old + name.removeprefix(prefix + new)
    return name


def of_the_original(name: str) -> str:
    for new, old in (
        ("model.language_model.", "model."),
        ("model.multi_modal_projector.linear_1", "model.mm_projector.0"),
        ("model.multi_modal_projector.linear_2", "model.mm_projector.2"),
    ):
        name = name.replace(new, old)
    return name


def old_patterns(folder: Path) -> None:
    rewrite(folder, before_4_52)


def old_patterns_alone(folder: Path) -> None:
    """Rename the tensors only, as a tool that leaves the settings unchanged."""
    config = read_json(folder / CONFIG)
    rewrite(folder, before_4_52)
    new = load_file(folder / WEIGHTS)
    save_file({name.replace(OLD, "model.language_model."): value for name, value in new.items()}, folder / WEIGHTS)
    assert read_json(folder / CONFIG)["rank_pattern"] != config["rank_pattern"]


def into_torch_file(folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()


def projector_in_both(folder: Path) -> None:
    tensors = {name: value for name, value in load_file(folder / WEIGHTS).items() if "multi_modal_projector" in name}
    torch.save(tensors, folder / NON_LORA)


def fan_in_fan_out(folder: Path) -> None:
    write_json(folder / CONFIG, {**read_json(folder / CONFIG), "fan_in_fan_out": True})


LAYERS = "model.language_model.layers"
PATTERNS = {
    "rank_pattern": {f"{LAYERS}.0.self_attn.q_proj": 2, f"{LAYERS}.1.mlp.up_proj": 3},
    "alpha_pattern": {f"{LAYERS}.0.self_attn.q_proj": 40, f"{LAYERS}.2.self_attn.v_proj": 7},
}
ALPHAS = {"alpha_pattern": PATTERNS["alpha_pattern"]}
# kind: settings of LoraConfig beside the language model's layers, where the projector is, what is done to the files
KINDS: dict[str, tuple[dict[str, Any], str, Change | None]] = {
    "LoRA": ({}, FULL, None),
    "rsLoRA": ({"use_rslora": True}, FULL, None),
    "rsLoRA, rank_pattern": ({"use_rslora": True, **PATTERNS}, FULL, None),
    "rank_pattern, alpha_pattern": (PATTERNS, FULL, None),
    "patterns, names before 4.52": (PATTERNS, FULL, old_patterns),
    "alpha_pattern, names before 4.52": (ALPHAS, FULL, old_patterns),
    "patterns of before 4.52, weights of after": (PATTERNS, FULL, old_patterns_alone),
    "patterns, names of the original": (PATTERNS, FULL, lambda folder: rewrite(folder, of_the_original)),
    "DoRA": ({"use_dora": True}, FULL, None),
    "DoRA of all linear layers": ({"use_dora": True, "target_modules": "all-linear"}, OWN, None),
    "DoRA, patterns, names before 4.52": ({"use_dora": True, **PATTERNS}, FULL, old_patterns),
    "DoRA without the projector": ({"use_dora": True}, BASE, None),
    "all-linear": ({"target_modules": "all-linear"}, OWN, None),
    "all-linear, names before 4.52": ({"target_modules": "all-linear"}, OWN, old_patterns),
    "LoRA of the projector, state dict beside it": ({"target_modules": ["q_proj", "linear_1", "linear_2"]}, FULL, None),
    "LoRA of the vision tower": ({"target_modules": r".*vision_tower.*\.(q_proj|fc1)|.*layers\.0.*v_proj"}, FULL, None),
    "LoRA of a convolution": ({"target_modules": ["q_proj", "patch_embedding"]}, FULL, None),
    "DoRA of a convolution": ({"use_dora": True, "target_modules": ["q_proj", "patch_embedding"]}, FULL, None),
    "LoRA of embedding and head": ({"target_modules": ["q_proj", "embed_tokens", "lm_head"]}, FULL, None),
    "LoRA of the embedding alone": ({"target_modules": ["embed_tokens"]}, FULL, None),
    "LoRA of the places in the tower": ({"target_modules": ["q_proj", "position_embedding"]}, FULL, None),
    "modules_to_save": ({"modules_to_save": ["embed_tokens", "lm_head"]}, FULL, None),
    "modules_to_save with the projector": ({"modules_to_save": ["multi_modal_projector"]}, OWN, None),
    "modules_to_save, projector in both": ({"modules_to_save": ["multi_modal_projector"]}, OWN, projector_in_both),
    "modules_to_save, state dict beside it": ({"modules_to_save": ["multi_modal_projector"]}, FULL, None),
    "modules_to_save, names before 4.52": ({"modules_to_save": ["multi_modal_projector", "norm"]}, OWN, old_patterns),
    "bias all": ({"bias": "all", "target_modules": ["q_proj", "fc1"]}, FULL, None),
    "bias all without the projector's matrices": ({"bias": "all", "target_modules": ["q_proj", "fc1"]}, BASE, None),
    "bias lora_only": ({"bias": "lora_only", "target_modules": ["q_proj", "fc1", "linear_1", "linear_2"]}, OWN, None),
    "fan_in_fan_out": ({}, FULL, fan_in_fan_out),
    "layers_to_transform": ({"target_modules": ["q_proj"], "layers_to_transform": [1]}, FULL, None),
    "exclude_modules": ({"target_modules": "all-linear", "exclude_modules": r".*vision_tower.*"}, OWN, None),
    "target_parameters": (
        {"target_modules": ["v_proj"], "target_parameters": ["self_attn.q_proj.weight", "position_embedding.weight"]},
        FULL,
        None,
    ),
    "trainable_token_indices": ({"trainable_token_indices": [3, 5]}, FULL, None),
    "trainable_token_indices by module": (
        {"trainable_token_indices": {"embed_tokens": [3, 5], "lm_head": [2, 7, 11]}}, FULL, None
    ),
    "adapter_model.bin": ({}, FULL, into_torch_file),
    "plain PEFT, projector never trained": ({}, BASE, None),
    "init gaussian": ({"init_lora_weights": "gaussian", "r": 16}, FULL, None),
    "init orthogonal": ({"init_lora_weights": "orthogonal"}, FULL, None),
    "init mica": ({"init_lora_weights": "mica"}, FULL, None),
}  # fmt: skip


REFUSED = {
    "IA3": ({"peft_type": "IA3"}, "rsvlm merges and runs only LoRA"),
    "LoHa": ({"peft_type": "LOHA"}, "rsvlm merges and runs only LoRA"),
    "prefix tuning": ({"peft_type": "PREFIX_TUNING"}, "rsvlm merges and runs only LoRA"),
    "aLoRA": ({"alora_invocation_tokens": [3]}, "which rsvlm cannot merge or run: use PEFT itself"),
    "lora_bias": ({"lora_bias": True}, "which rsvlm cannot merge or run: use PEFT itself"),
    "PiSSA as it was trained": ({"init_lora_weights": "pissa"}, "path_initial_model_for_weight_conversion"),
    "CorDA as it was trained": ({"init_lora_weights": "corda"}, "path_initial_model_for_weight_conversion"),
    "OLoRA as it was trained": ({"init_lora_weights": "olora"}, "path_initial_model_for_weight_conversion"),
}
