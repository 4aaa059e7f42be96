"""The shapes of generic families: parameters are those of the model, whose weights are not made."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from support.tiny_processors import MERGED_TOKENS, SIDE, TILE_TOKENS

from tasks.model.chat.shape import TYPICAL_SIDE
from tasks.model.configuration import read_config
from tasks.model.families import family_of

TILES = (TYPICAL_SIDE // SIDE) ** 2


def test_parameters_are_counted(folder: Path) -> None:
    family = family_of(folder)
    shape = family.shape(read_config(folder))
    model = family.load_base(folder, torch.float32)
    # a tied head is counted once
    assert shape.parameters == sum(value.numel() for value in model.parameters())
    assert shape.projector_parameters == sum(
        value.numel() for name, value in model.named_parameters() if family.names.is_projector(name)
    )
    assert (shape.layers, shape.tower_layers) == (2, 3 if family.name == "LLaVA-NeXT" else 2)
    with warnings.catch_warnings():
        # PEFT asks transformers for a name that its next major version drops
        warnings.simplefilter("ignore", FutureWarning)
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules=family.lora_targets(model)))
    lora = sum(value.numel() for name, value in adapted.named_parameters() if "lora_" in name)
    assert shape.lora_parameters(4) == lora


def test_the_width_of_keys_and_values_is_that_of_the_model(folder: Path) -> None:
    family = family_of(folder)
    model = family.load_base(folder, torch.float32)
    keys = [
        module
        for name, module in model.named_modules()
        if name.startswith(("model.language_model.", "model.text_model.")) and name.endswith(".k_proj")
    ]
    assert {family.shape(read_config(folder)).key_value_width} == {layer.out_features for layer in keys}


def test_a_flat_configuration_as_published_has_the_same_shape(tiny_family_dir: Callable[[str], Path]) -> None:
    folder = tiny_family_dir("qwen2_5_vl")
    config = read_config(folder)
    text = config.pop("text_config")
    flat = {**config, **{key: value for key, value in text.items() if key not in ("model_type", "dtype")}}
    assert family_of(folder).shape(flat) == family_of(folder).shape(read_config(folder))


@pytest.mark.parametrize(
    ("member", "tokens"),
    [
        ("qwen2_5_vl", (TYPICAL_SIDE // 28) ** 2),
        ("qwen3_vl", (TYPICAL_SIDE // 32) ** 2),
        # as many tiles as cover the image, and all of it in one
        ("llava_next", TILE_TOKENS * (TILES + 1)),
        ("llava_onevision", TILE_TOKENS * (TILES + 1)),
        ("internvl", MERGED_TOKENS * (TILES + 1)),
        ("idefics3", MERGED_TOKENS * (TILES + 1)),
        ("smolvlm", MERGED_TOKENS * (TILES + 1)),
        # scaled down
        ("paligemma", TILE_TOKENS),
    ],
)
def test_image_tokens_are_those_of_a_typical_image(folder: Path, tokens: int) -> None:
    assert family_of(folder).shape(read_config(folder)).image_tokens == tokens
