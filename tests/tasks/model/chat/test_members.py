"""Each member is recognised, and names the layers that LoRA adapts."""

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from support.tiny_families import CONFIGS

from tasks.errors import DataError
from tasks.model.chat.members import MEMBERS
from tasks.model.encoding import Turn
from tasks.model.families import family_of
from tasks.prompt_text import IMAGE_PLACEHOLDER

NAMES = {
    "qwen2_5_vl": "Qwen2.5-VL",
    "qwen3_vl": "Qwen3-VL",
    "llava_next": "LLaVA-NeXT",
    "llava_onevision": "LLaVA-OneVision",
    "internvl": "InternVL3",
    "idefics3": "SmolVLM",
    "smolvlm": "SmolVLM",
    "paligemma": "PaliGemma",
}
LAYERS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
FEED_FORWARD = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


def test_a_family_is_recognised_by_its_model_type(member: str, folder: Path) -> None:
    assert family_of(folder).name == NAMES[member]


def test_all_model_types_have_a_tiny_model() -> None:
    assert {kind for family in MEMBERS for kind in family.model_types} == CONFIGS.keys()


def test_lora_adapts_the_language_models_linear_layers_alone(member: str, folder: Path) -> None:
    family = family_of(folder)
    model = family.load_base(folder, torch.float32)
    text = "model.text_model" if member in ("smolvlm", "idefics3") else "model.language_model"
    expected = {f"{text}.layers.{layer}.{part}" for layer in (0, 1) for part in (*LAYERS, *FEED_FORWARD)}
    targets = family.lora_targets(model)
    assert len(targets) == len(expected) and set(targets) == expected
    with warnings.catch_warnings():
        # PEFT asks transformers for a name that its next major version drops
        warnings.simplefilter("ignore", FutureWarning)
        adapted = get_peft_model(model, LoraConfig(r=2, target_modules=targets))
    found = {name.partition(".lora_A")[0] for name, _ in adapted.named_parameters() if ".lora_A" in name}
    assert {name.removeprefix("base_model.model.") for name in found} == expected


def test_prefixes_are_shared_if_no_token_sees_a_later_one(member: str, folder: Path) -> None:
    family = family_of(folder)
    config = family.read_config(folder)
    assert family.shares_prefix(config) == (member != "paligemma")
    assert family.max_positions(config) == 2048


@pytest.mark.parametrize(
    ("changes", "shares"),
    [
        ({"sliding_window": 64}, False),
        ({"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 64}, False),
        ({"layer_types": ["full_attention"], "sliding_window": 64}, True),
    ],
)
def test_windows_are_not_shared(
    tiny_family_dir: Callable[[str], Path], changes: dict[str, object], shares: bool
) -> None:
    family = family_of(tiny_family_dir("llava_next"))
    config = family.read_config(tiny_family_dir("llava_next"))
    assert family.shares_prefix({**config, "text_config": {**config["text_config"], **changes}}) == shares


def test_a_family_takes_dialogues_if_its_processor_does(folder: Path) -> None:
    family = family_of(folder)
    turns: list[Turn] = [("human", f"{IMAGE_PLACEHOLDER}\nA"), ("gpt", "B")] * 2
    turns[2] = ("human", "C")
    with nullcontext() if family.dialogues else pytest.raises(DataError, match="ask each question alone"):
        family.load_processor(folder).encode_conversation(turns)
