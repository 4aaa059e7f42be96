"""Adapters that cannot be merged are refused with a sentence that says what to do."""

from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
import torch
from support.changed_files import B_MATRIX, BIAS, LORA, PROJECTOR, change_json, change_lora, change_projector, refused

from tasks.errors import ModelError
from tasks.merging.checks import require_mergeable
from tasks.merging.merge import merge_adapter
from tasks.merging.model_directory import MergeOptions
from tasks.model.adapter_checks import BaseShapes, require_fitting
from tasks.model.adapter_files import read_adapter
from tasks.model.llava.model_tensors import read_base
from tasks.model.llava.tensor_names import NAMES
from tasks.model.loading import load_model


def test_an_adapter_with_another_rank_than_its_config_is_refused(base: Path, adapter: Path) -> None:
    change_json(adapter / "adapter_config.json", r=16)
    refused(base, adapter, "rank 16 .* different runs")


@pytest.mark.parametrize(
    "setting",
    [
        {"use_qalora": True},
        {"use_bdlora": {"nblocks": 2}},
        {"use_what_comes_next": True},
        {"lora_bias": True},
        {"layer_replication": [[0, 2]]},
        {"alora_invocation_tokens": [3]},
        {"kasa_config": {"beta": 1}},
        {"init_lora_weights": "pissa"},
        {"init_lora_weights": "pissa_niter_16"},
        {"init_lora_weights": "olora"},
        {"init_lora_weights": "corda"},
        {"init_lora_weights": "loftq"},
        {"init_lora_weights": "lora_ga"},
    ],
)
def test_unsupported_lora_settings_are_refused(base: Path, adapter: Path, setting: dict[str, object]) -> None:
    change_json(adapter / "adapter_config.json", **setting)
    refused(base, adapter, f"{next(iter(setting))} = .* use PEFT itself")


@pytest.mark.parametrize("kind", ["IA3", "LOHA", "LOKR", "ADALORA", "PREFIX_TUNING", "TRAINABLE_TOKENS"])
def test_an_adapter_that_is_not_lora_is_refused(base: Path, adapter: Path, kind: str) -> None:
    change_json(adapter / "adapter_config.json", peft_type=kind)
    refused(base, adapter, f"does not describe a LoRA adapter but '{kind}': rsvlm merges and runs only LoRA")


def test_the_folder_of_a_named_adapter_is_suggested(base: Path, adapter: Path) -> None:
    (adapter / "default").mkdir()
    for name in ("adapter_config.json", LORA):
        (adapter / name).rename(adapter / "default" / name)
    refused(base, adapter, "checkpoint-400 lacks adapter_config.json: give .*checkpoint-400/default, which has one")


def test_for_the_folder_above_the_checkpoints_the_final_one_is_named(base: Path, adapter: Path, tmp_path: Path) -> None:
    for name in ("checkpoint-100", "final"):
        copytree(adapter, tmp_path / "training" / name)
    refused(base, tmp_path / "training", "training lacks adapter_config.json: give .*training/final, which has one")


def test_a_complete_model_instead_of_an_adapter_is_refused(base: Path) -> None:
    with pytest.raises(ModelError, match="base holds a complete model and no adapter: give it as the model itself"):
        load_model(base, base)


@pytest.mark.parametrize("part", ["language_model.embed_tokens", "lm_head"])
def test_a_resized_vocabulary_is_refused(base: Path, adapter: Path, part: str) -> None:
    name = f"base_model.model.{part if part == 'lm_head' else f'model.{part}'}.weight"
    change_lora(adapter, lambda tensors: tensors.update({name: torch.ones(290, 128)}))
    refused(base, adapter, r"is \[290, 128\] .* if training resized .* resize_token_embeddings\(290\)")


def test_a_changed_separate_tower_is_refused_in_the_original_layout(base: Path, adapter: Path) -> None:
    """The tower's tensors are in another directory, which the merge does not write: the change would be lost."""
    read, lora = read_base(base), read_adapter(adapter, NAMES)
    tower = "model.vision_tower.post_layernorm.bias"
    elsewhere = replace(read.tensors[tower], file=base.parent / "tower" / "model.safetensors")
    split = replace(read, layout="llava", tensors={**read.tensors, tower: elsewhere}, tower=base.parent / "tower")
    changed = replace(lora, trained={**lora.trained, tower: read.tensors[tower]})
    require_mergeable(split, lora, MergeOptions(layout="llava"))
    require_mergeable(split, changed, MergeOptions(layout="transformers"))
    with pytest.raises(ModelError, match=r"post_layernorm.bias, which is in .*tower .* --format transformers"):
        require_mergeable(split, changed, MergeOptions(layout="llava"))


@pytest.mark.parametrize("changed", ["embed_tokens", "lm_head"])
def test_a_change_of_one_of_two_tied_weights_is_refused(
    base: Path, adapter: Path, tmp_path: Path, changed: str
) -> None:
    read, lora = read_base(base), read_adapter(adapter, NAMES)
    name = "lm_head.weight" if changed == "lm_head" else "model.language_model.embed_tokens.weight"
    trained = replace(lora, trained={**lora.trained, name: read.tensors[name]})
    shapes = {name: tensor.shape for name, tensor in read.tensors.items()}
    require_fitting(trained, BaseShapes(base, shapes, tied=False))
    with pytest.raises(ModelError, match=f"{changed}.weight, and .* has one weight for embedding and head"):
        require_fitting(trained, BaseShapes(base, shapes, tied=True))


def test_an_adapter_with_another_rank_than_its_pattern_is_refused(base: Path, adapter: Path) -> None:
    change_json(adapter / "adapter_config.json", rank_pattern={"q_proj": 4})
    refused(base, adapter, "rank 4 .* different runs")


def test_dora_without_magnitudes_is_refused(base: Path, adapter: Path) -> None:
    change_json(adapter / "adapter_config.json", use_dora=True)
    refused(base, adapter, "lacks magnitude of")


def test_magnitudes_without_dora_are_refused(base: Path, adapter: Path) -> None:
    name = B_MATRIX.replace("lora_B.weight", "lora_magnitude_vector")
    change_lora(adapter, lambda tensors: tensors.update({name: torch.ones(128)}))
    refused(base, adapter, "use_dora = false")


def test_dora_of_an_embedding_is_refused(base: Path, adapter: Path) -> None:
    name = "base_model.model.model.language_model.embed_tokens.lora_embedding_B"
    change_lora(adapter, lambda tensors: tensors.update({name: torch.ones(128, 8)}))
    refused(base, adapter, "lacks lora_embedding_A of model.language_model.embed_tokens.weight")


def test_an_unknown_lora_tensor_is_refused(base: Path, adapter: Path) -> None:
    change_lora(adapter, lambda tensors: tensors.update({B_MATRIX.replace("lora_B", "lora_E"): torch.ones(8)}))
    refused(base, adapter, "lora_E.weight in .* is an unknown kind of LoRA tensor: use PEFT itself")


def test_two_files_with_different_values_of_one_weight_are_refused(base: Path, adapter: Path) -> None:
    change_lora(adapter, lambda tensors: tensors.update({BIAS: torch.ones(128)}))
    refused(base, adapter, f"linear_1.bias is in {LORA} and in {PROJECTOR} .* different values")


def test_projector_base_is_refused_for_an_adapter_with_a_projector(base: Path, adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has its own projector .*: leave --projector base out"):
        merge_adapter(base, adapter, tmp_path / "merged", MergeOptions(projector="base"))
    assert not list(tmp_path.glob("*merged*"))


def test_trained_tensors_that_the_base_lacks_are_refused(base: Path, adapter: Path) -> None:
    change_projector(adapter, lambda tensors: tensors.update({"base_model.model.model.resampler": torch.ones(3)}))
    refused(base, adapter, "changes model.resampler, which .* does not have")
