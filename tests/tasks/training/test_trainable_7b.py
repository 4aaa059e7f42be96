"""The trained parameters of the published 7B model, counted without allocating its 28 GB."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support.published_llava import CLIP, LLAVA
from transformers import LlavaConfig, LlavaForConditionalGeneration

from tasks.model.llava.family import FAMILY
from tasks.model.llava.model_config import require_model_config
from tasks.model.llava.shape import published_shape
from tasks.model.llava.tensor_names import canonical_name
from tasks.preflight.memory_estimate import all_parameters, trained_parameters
from tasks.settings import TrainingConfig
from tasks.training.trainable import count_parameters, prepare_trainable

# A and B of rank r: r times inputs and outputs; q, k, v, o; gate, up, down; 32 layers
LORA = 32 * 128 * (4 * (4096 + 4096) + 3 * (4096 + 11008))
PROJECTOR = 1024 * 4096 + 4096 + 4096 * 4096 + 4096
LANGUAGE = 2 * 32000 * 4096 + 32 * (4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096) + 4096
TOWER_LAYER = 4 * (1024**2 + 1024) + 2 * 1024 * 4096 + 4096 + 1024 + 4 * 1024
TOWER = 3 * 14**2 * 1024 + 1024 + (24**2 + 1) * 1024 + 4 * 1024 + 24 * TOWER_LAYER
SEVEN = [f"self_attn.{n}_proj" for n in "qkvo"] + [f"mlp.{n}_proj" for n in ("gate", "up", "down")]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directories of the model and its tower, next to each other, without weights."""
    root = tmp_path_factory.mktemp("published")
    for name, config in (("llava-v1.5-7b", LLAVA), ("clip-vit-large-patch14-336", CLIP)):
        (root / name).mkdir()
        (root / name / "config.json").write_text(json.dumps(config))
    return root / "llava-v1.5-7b"


def names_in_the_published_files() -> set[str]:
    layers = [f"{n}.weight" for n in (*SEVEN, "input_layernorm", "post_attention_layernorm")]
    names = {f"model.layers.{i}.{n}" for i in range(32) for n in layers}
    names |= {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}
    names |= {f"model.mm_projector.{n}.{kind}" for n in (0, 2) for kind in ("weight", "bias")}
    vision = "model.vision_tower.vision_tower.vision_model."
    attention = [f"self_attn.{n}_proj" for n in ("q", "k", "v", "out")]
    parts = (*attention, "mlp.fc1", "mlp.fc2", "layer_norm1", "layer_norm2")
    names |= {f"{vision}encoder.layers.{i}.{n}.{k}" for i in range(24) for n in parts for k in ("weight", "bias")}
    names |= {f"{vision}{n}.{k}" for n in ("pre_layrnorm", "post_layernorm") for k in ("weight", "bias")}
    places = ("class_embedding", "patch_embedding.weight", "position_embedding.weight")
    return names | {f"{vision}embeddings.{n}" for n in places}


def prepared_without_memory(folder: Path, config: TrainingConfig) -> Any:
    """A directory's model on the meta device, prepared for training."""
    with torch.random.fork_rng(), torch.device("meta"):
        base = LlavaForConditionalGeneration(LlavaConfig.from_dict(require_model_config(folder)))
        return prepare_trainable(base, config, FAMILY)


@pytest.fixture(scope="module")
def prepared(published: Path) -> Any:
    return prepared_without_memory(published, TrainingConfig())


def test_the_reference_run_trains_as_many_parameters_as_the_reference(prepared: Any) -> None:
    assert (LORA, PROJECTOR) == (319_815_680, 20_979_712)
    assert count_parameters(prepared) == (LORA + PROJECTOR, LORA + LANGUAGE + PROJECTOR + TOWER)


def test_full_training_trains_all_but_the_tower(published: Path) -> None:
    full = prepared_without_memory(published, TrainingConfig(lora_enable=False))
    assert count_parameters(full) == (LANGUAGE + PROJECTOR, 7_062_902_784)


@pytest.mark.parametrize("lora", [True, False])
def test_estimated_parameter_counts_equal_the_trained_ones(lora: bool) -> None:
    shape, config = published_shape("liuhaotian/llava-v1.5-7b"), TrainingConfig(lora_enable=lora)
    assert shape is not None
    assert trained_parameters(shape, config) == PROJECTOR + (LORA if lora else LANGUAGE)
    assert all_parameters(shape, config) == 7_062_902_784 + (LORA if lora else 0)


def test_model_without_memory_is_on_the_meta_device(prepared: Any) -> None:
    assert {value.device.type for value in prepared.parameters()} == {"meta"}


def test_tensor_names_equal_those_of_the_published_files(prepared: Any) -> None:
    module = prepared.get_base_model()
    ours = {name.replace(".base_layer", "") for name in module.state_dict() if "lora_" not in name}
    assert ours == {canonical_name(name) for name in names_in_the_published_files()}


def test_adapters_are_on_the_seven_linear_layers_of_each_decoder_layer(prepared: Any) -> None:
    adapted = {name.partition(".lora_")[0] for name, _ in prepared.named_parameters() if ".lora_" in name}
    prefix = "base_model.model.model.language_model.layers."
    assert adapted == {f"{prefix}{i}.{name}" for i in range(32) for name in SEVEN}
