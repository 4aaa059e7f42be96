"""Adapters that cannot be merged rightly are refused, each with the way out."""

from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
import torch
from support.changed_files import B_MATRIX, BIAS, LORA, PROJECTOR, change_json, change_lora, change_projector, refused

from tasks.errors import ModelError
from tasks.merging.checks import require_mergeable
from tasks.merging.merge import merge_adapter
from tasks.merging.model_directory import Form
from tasks.model.adapter_checks import Base, require_fitting
from tasks.model.adapter_files import read_adapter
from tasks.model.loading import load_model
from tasks.model.model_tensors import read_base


def test_an_adapter_of_another_rank_than_it_says(base: Path, adapter: Path) -> None:
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
def test_settings_that_make_something_else_of_the_matrices(
    base: Path, adapter: Path, setting: dict[str, object]
) -> None:
    change_json(adapter / "adapter_config.json", **setting)
    refused(base, adapter, f"{next(iter(setting))} = .* use PEFT itself")


@pytest.mark.parametrize("kind", ["IA3", "LOHA", "LOKR", "ADALORA", "PREFIX_TUNING", "TRAINABLE_TOKENS"])
def test_an_adapter_that_is_no_lora(base: Path, adapter: Path, kind: str) -> None:
    change_json(adapter / "adapter_config.json", peft_type=kind)
    refused(base, adapter, f"not of a LoRA adapter but of '{kind}': only LoRA can be merged or asked here")


def test_the_folder_of_an_adapter_that_has_a_name(base: Path, adapter: Path) -> None:
    (adapter / "default").mkdir()
    for name in ("adapter_config.json", LORA):
        (adapter / name).rename(adapter / "default" / name)
    refused(base, adapter, "checkpoint-400 lacks adapter_config.json: give .*checkpoint-400/default, which has one")


def test_the_folder_of_a_training_names_its_end(base: Path, adapter: Path, tmp_path: Path) -> None:
    for name in ("checkpoint-100", "final"):
        copytree(adapter, tmp_path / "training" / name)
    refused(base, tmp_path / "training", "training lacks adapter_config.json: give .*training/final, which has one")


def test_a_whole_model_in_the_place_of_an_adapter_is_called_one(base: Path) -> None:
    with pytest.raises(ModelError, match="base holds a whole model and no adapter: give it as the model itself"):
        load_model(base, base)


@pytest.mark.parametrize("part", ["language_model.embed_tokens", "lm_head"])
def test_a_resized_vocabulary(base: Path, adapter: Path, part: str) -> None:
    name = f"base_model.model.{part if part == 'lm_head' else f'model.{part}'}.weight"
    change_lora(adapter, lambda tensors: tensors.update({name: torch.ones(290, 128)}))
    refused(base, adapter, r"is \[290, 128\] .* if training resized .* resize_token_embeddings\(290\)")


def test_a_tower_that_the_written_layout_has_elsewhere(base: Path, adapter: Path) -> None:
    """Refused is what would be lost: the tower's tensors are read from another directory and not written."""
    read, lora = read_base(base), read_adapter(adapter)
    tower = "model.vision_tower.post_layernorm.bias"
    elsewhere = replace(read.tensors[tower], file=base.parent / "tower" / "model.safetensors")
    split = replace(read, layout="llava", tensors={**read.tensors, tower: elsewhere}, tower=base.parent / "tower")
    changed = replace(lora, trained={**lora.trained, tower: read.tensors[tower]})
    require_mergeable(split, lora, Form(layout="llava"))
    require_mergeable(split, changed, Form(layout="transformers"))
    with pytest.raises(ModelError, match=r"post_layernorm.bias, which is in .*tower .* --format transformers"):
        require_mergeable(split, changed, Form(layout="llava"))


@pytest.mark.parametrize("changed", ["embed_tokens", "lm_head"])
def test_one_of_embedding_and_head_where_both_are_one_weight(
    base: Path, adapter: Path, tmp_path: Path, changed: str
) -> None:
    read, lora = read_base(base), read_adapter(adapter)
    name = "lm_head.weight" if changed == "lm_head" else "model.language_model.embed_tokens.weight"
    trained = replace(lora, trained={**lora.trained, name: read.tensors[name]})
    shapes = {name: tensor.shape for name, tensor in read.tensors.items()}
    require_fitting(trained, Base(base, shapes, tied=False))
    with pytest.raises(ModelError, match=f"{changed}.weight, and .* has one weight for embedding and head"):
        require_fitting(trained, Base(base, shapes, tied=True))


def test_an_adapter_of_another_rank_than_its_pattern_says(base: Path, adapter: Path) -> None:
    change_json(adapter / "adapter_config.json", rank_pattern={"q_proj": 4})
    refused(base, adapter, "rank 4 .* different runs")


def test_dora_without_its_magnitudes(base: Path, adapter: Path) -> None:
    change_json(adapter / "adapter_config.json", use_dora=True)
    refused(base, adapter, "lacks magnitude of")


def test_magnitudes_without_dora(base: Path, adapter: Path) -> None:
    name = B_MATRIX.replace("lora_B.weight", "lora_magnitude_vector")
    change_lora(adapter, lambda tensors: tensors.update({name: torch.ones(128)}))
    refused(base, adapter, "use_dora = false")


def test_a_matrix_of_an_embedding(base: Path, adapter: Path) -> None:
    name = "base_model.model.model.language_model.embed_tokens.lora_embedding_B"
    change_lora(adapter, lambda tensors: tensors.update({name: torch.ones(128, 8)}))
    refused(base, adapter, "lacks lora_embedding_A of model.language_model.embed_tokens.weight")


def test_a_matrix_that_nobody_knows(base: Path, adapter: Path) -> None:
    change_lora(adapter, lambda tensors: tensors.update({B_MATRIX.replace("lora_B", "lora_E"): torch.ones(8)}))
    refused(base, adapter, "lora_E.weight in .* is no LoRA matrix that rsvlm knows: use PEFT itself")


def test_two_files_that_say_different_things_of_one_weight(base: Path, adapter: Path) -> None:
    change_lora(adapter, lambda tensors: tensors.update({BIAS: torch.ones(128)}))
    refused(base, adapter, f"linear_1.bias is in {LORA} and in {PROJECTOR} .* different values")


def test_a_projector_of_its_own_where_the_bases_is_asked_for(base: Path, adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has a projector of its own .*: leave --projector base out"):
        merge_adapter(base, adapter, tmp_path / "merged", Form(projector="base"))
    assert not list(tmp_path.glob("*merged*"))


def test_trained_parts_that_the_base_does_not_have(base: Path, adapter: Path) -> None:
    change_projector(adapter, lambda tensors: tensors.update({"base_model.model.model.resampler": torch.ones(3)}))
    refused(base, adapter, "changes model.resampler, which .* does not have")
