"""Every preset loads, and the llava-1.5-7b ones hold the values of the reference run."""

from typing import Any

import pytest
import yaml

from deployments.configuration import PRESETS, load_config, preset_names
from tasks.settings import ModelConfig

REFERENCE_MODEL = {
    "vision_tower": "openai/clip-vit-large-patch14-336",
    "version": "v1",
    "mm_projector_type": "mlp2x_gelu",
    "mm_vision_select_layer": -2,
    "mm_use_im_start_end": False,
    "mm_use_im_patch_token": False,
    "image_aspect_ratio": "pad",
}
REFERENCE_TRAINING = {
    "lora_enable": True,
    "lora_r": 128,
    "lora_alpha": 256,
    "mm_projector_lr": 2e-5,
    "deepspeed": "zero3",
    "group_by_modality_length": True,
    "bf16": True,
    "num_train_epochs": 10.1,
    "per_device_train_batch_size": 2,
    "per_device_eval_batch_size": 4,
    "gradient_accumulation_steps": 10,
    "eval_strategy": "no",
    "save_strategy": "steps",
    "save_steps": 300,
    "save_total_limit": 1,
    "learning_rate": 1e-5,
    "weight_decay": 0.0,
    "warmup_ratio": 0.03,
    "lr_scheduler_type": "cosine",
    "logging_steps": 1,
    "tf32": True,
    "model_max_length": 2048,
    "gradient_checkpointing": True,
    "dataloader_num_workers": 4,
    "report_to": ["wandb"],
}
CHANGES: dict[str, dict[str, Any]] = {
    "llava-1.5-7b-lora": {},
    "llava-1.5-7b-lora-quick": {
        "learning_rate": 2e-4,
        "per_device_train_batch_size": 16,
        "gradient_accumulation_steps": 1,
        "num_train_epochs": 0.05,
    },
    "llava-1.5-7b-full": {"lora_enable": False},
}
OTHER_FAMILIES = {
    "qwen2.5-vl-7b-lora": "Qwen/Qwen2.5-VL-7B-Instruct",
    "qwen3-vl-8b-lora": "Qwen/Qwen3-VL-8B-Instruct",
    "llava-onevision-7b-lora": "llava-hf/llava-onevision-qwen2-7b-ov-hf",
}
BASES = ("liuhaotian/llava-v1.5-7b", "llava-hf/llava-1.5-7b-hf")


def written_in(preset: str) -> dict[str, Any]:
    return yaml.safe_load((PRESETS / f"{preset}.yaml").read_text(encoding="utf-8"))


def test_the_set_of_presets_is_fixed():
    assert preset_names() == sorted(["demo", "real-cpu", *CHANGES, *OTHER_FAMILIES])


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_loads_and_every_value_of_its_file_arrives(preset: str):
    plain = load_config(preset).as_plain()
    for section, values in written_in(preset).items():
        for name, value in values.items():
            found = plain[section][name]
            # a subsection may be written in part
            assert found == ({**found, **value} if isinstance(value, dict) else value)


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_shows_its_command_in_its_first_lines(preset: str):
    comment = (PRESETS / f"{preset}.yaml").read_text(encoding="utf-8").split("\ndata:\n")[0].split("\nmodel:\n")[0]
    assert f"rsvlm run {preset}" in comment


@pytest.mark.parametrize("preset", CHANGES)
def test_a_7b_preset_holds_the_values_of_the_reference_run(preset: str):
    plain = load_config(preset).as_plain()
    expected = REFERENCE_TRAINING | CHANGES[preset]
    assert {name: plain["training"][name] for name in expected} == expected
    assert {name: plain["model"][name] for name in REFERENCE_MODEL} == REFERENCE_MODEL
    assert plain["model"]["base"] in BASES


@pytest.mark.parametrize("preset", CHANGES)
def test_a_7b_preset_lists_the_reference_values(preset: str):
    written = written_in(preset)
    lacking = {"lora_r", "lora_alpha"} if preset == "llava-1.5-7b-full" else set()
    assert set(REFERENCE_TRAINING) - set(written["training"]) == lacking
    assert set(REFERENCE_MODEL) <= set(written["model"])


@pytest.mark.parametrize("preset", ["demo", "real-cpu"])
def test_a_toy_preset_needs_no_gpu_and_no_account(preset: str):
    config = load_config(preset)
    assert config.training.use_cpu and not config.training.bf16 and config.training.deepspeed is None
    assert config.model.base == "tiny" and config.training.report_to == () and config.store.uri is None


@pytest.mark.parametrize("preset", OTHER_FAMILIES)
def test_a_preset_of_another_family_leaves_the_settings_of_llava_alone(preset):
    config = load_config(preset, [])
    assert config.model == ModelConfig(base=OTHER_FAMILIES[preset])
    assert (config.training.deepspeed, config.training.num_train_epochs) == ("zero3", 1)
