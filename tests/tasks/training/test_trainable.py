"""Which parameters are trained, and at which learning rate."""

from pathlib import Path
from typing import Any

import torch

from tasks.model.llava.family import FAMILY
from tasks.model.loading import load_base
from tasks.settings import TrainingConfig
from tasks.training.trainable import count_parameters, non_lora_names, optimizer_groups, prepare_trainable

SEVEN = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
CONFIG = TrainingConfig(lora_r=4, lora_alpha=8, mm_projector_lr=2e-5, learning_rate=2e-4, gradient_checkpointing=False)


def prepared(folder: Path, **changes: Any) -> tuple[Any, TrainingConfig]:
    config = CONFIG.model_copy(update=changes)
    return prepare_trainable(load_base(folder, torch.float32), config, FAMILY), config


def trained(model: Any) -> set[str]:
    return {name for name, value in model.named_parameters() if value.requires_grad}


def test_lora_covers_only_the_seven_linear_layers_of_every_decoder_layer(tiny_model_dir: Path) -> None:
    model, _ = prepared(tiny_model_dir)
    lora = {name.partition(".lora_")[0] for name in trained(model) if ".lora_" in name}
    assert {name.rpartition(".")[2] for name in lora} == SEVEN
    assert len(lora) == 7 * 3
    assert all(".language_model.layers." in name for name in lora)


def test_projector_is_fully_trained_and_the_rest_is_frozen(tiny_model_dir: Path) -> None:
    model, _ = prepared(tiny_model_dir)
    full = non_lora_names(model, FAMILY.names)
    assert len(full) == 4
    assert all("multi_modal_projector" in name for name in full)
    assert full == {name for name in trained(model) if "lora_" not in name}


def test_tower_is_trained_with_its_setting(tiny_model_dir: Path) -> None:
    model, _ = prepared(tiny_model_dir, unfreeze_mm_vision_tower=True)
    assert any("vision_tower" in name for name in non_lora_names(model, FAMILY.names))


def test_without_lora_all_but_the_tower_is_trained(tiny_model_dir: Path) -> None:
    model, _ = prepared(tiny_model_dir, lora_enable=False)
    frozen = {name for name, _ in model.named_parameters()} - trained(model)
    assert frozen
    assert all("vision_tower" in name for name in frozen)


def test_seed_decides_the_initial_values_of_adapters(tiny_model_dir: Path) -> None:
    def first_values(seed: int) -> torch.Tensor:
        torch.rand(seed)  # whatever ran earlier
        model, _ = prepared(tiny_model_dir, seed=seed)
        return torch.cat([value.flatten() for name, value in model.named_parameters() if "lora_A" in name])

    assert torch.equal(first_values(1), first_values(1))
    assert not torch.equal(first_values(1), first_values(2))


def test_untrained_adapter_does_not_change_the_output(tiny_model_dir: Path) -> None:
    model, _ = prepared(tiny_model_dir)
    matrices = [value for name, value in model.named_parameters() if "lora_B" in name]
    assert matrices
    assert not any(value.any() for value in matrices)


def test_projector_has_its_own_rate_and_biases_do_not_decay(tiny_model_dir: Path) -> None:
    model, config = prepared(tiny_model_dir, weight_decay=0.1)
    groups = optimizer_groups(model, config, FAMILY.names)
    assert [(len(g["params"]), g["weight_decay"], g["lr"]) for g in groups] == [
        (42, 0.1, 2e-4),
        (2, 0.1, 2e-5),
        (2, 0.0, 2e-5),
    ]


def test_projector_without_its_own_rate_uses_the_main_one(tiny_model_dir: Path) -> None:
    model, config = prepared(tiny_model_dir, mm_projector_lr=None)
    assert {group["lr"] for group in optimizer_groups(model, config, FAMILY.names)} == {2e-4}


def test_every_trained_parameter_is_in_one_group(tiny_model_dir: Path) -> None:
    model, config = prepared(tiny_model_dir, lora_enable=False, weight_decay=0.1)
    grouped = [id(value) for group in optimizer_groups(model, config, FAMILY.names) for value in group["params"]]
    assert sorted(grouped) == sorted(id(value) for value in model.parameters() if value.requires_grad)


def test_parameters_are_counted(tiny_model_dir: Path) -> None:
    model, _ = prepared(tiny_model_dir)
    expected = sum(value.numel() for value in model.parameters() if value.requires_grad)
    assert count_parameters(model) == (expected, sum(value.numel() for value in model.parameters()))


def test_trained_parameters_are_float32_on_a_bfloat16_base(tiny_model_dir: Path) -> None:
    model = prepare_trainable(load_base(tiny_model_dir, torch.bfloat16), CONFIG, FAMILY)
    assert {value.dtype for value in model.parameters() if value.requires_grad} == {torch.float32}
    assert {value.dtype for value in model.parameters() if not value.requires_grad} == {torch.bfloat16}


def test_with_deepspeed_all_parameters_keep_the_type_of_the_base(tiny_model_dir: Path) -> None:
    model = prepare_trainable(
        load_base(tiny_model_dir, torch.bfloat16), CONFIG.model_copy(update={"deepspeed": "zero3"}), FAMILY
    )
    assert {value.dtype for value in model.parameters()} == {torch.bfloat16}


def test_frozen_projector_is_not_trained_but_saved(tiny_model_dir: Path) -> None:
    model, _ = prepared(tiny_model_dir, freeze=("projector",))
    assert all("lora_" in name for name in trained(model))
    assert len(non_lora_names(model, FAMILY.names)) == 4


def test_frozen_language_model_leaves_the_projector_and_the_tower(tiny_model_dir: Path) -> None:
    model, config = prepared(tiny_model_dir, lora_enable=False, freeze=("language_model",))
    assert trained(model)
    assert all(FAMILY.names.is_projector(name) for name in trained(model))
    grouped = [id(value) for group in optimizer_groups(model, config, FAMILY.names) for value in group["params"]]
    assert len(grouped) == 4
