"""Every setting is used and reaches transformers; DeepSpeed configurations; the choice of attention."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import ConfigError
from tasks.files import read_json
from tasks.settings import TrainingConfig
from tasks.training.arguments import (
    SAME_NAME,
    AttentionSupport,
    attention_support,
    choose_attention,
    deepspeed_config,
    training_arguments,
)
from tasks.training.job import TrainingJob

JobFor = Callable[..., TrainingJob]


# none of them is transformers' default
SETTINGS: dict[str, Any] = {
    **{"num_train_epochs": 2.5, "max_steps": 7, "per_device_train_batch_size": 3, "per_device_eval_batch_size": 5},
    **{"gradient_accumulation_steps": 6, "learning_rate": 3e-4, "weight_decay": 0.2, "lr_scheduler_type": "cosine"},
    **{"max_grad_norm": 0.7, "adam_beta2": 0.9, "evaluation_strategy": "steps", "eval_steps": 4, "save_steps": 9},
    **{"logging_steps": 2, "bf16": True, "dataloader_num_workers": 1, "seed": 77},
}


ROOM = Path(__file__).resolve().parents[3] / "tasks"


READERS = [*sorted((ROOM / "training").glob("*.py")), ROOM / "settings" / "training.py"]


def read_names() -> Iterator[str]:
    """Attributes that the training's code reads, and names that it passes on as strings."""
    for path in READERS:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Attribute):
                yield node.attr
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and path.name == "arguments.py":
                yield node.value


NAMES = frozenset(read_names())


@pytest.mark.parametrize("name", SAME_NAME)
def test_setting_is_passed_to_transformers_under_its_name(job_for: JobFor, tmp_path: Path, name: str) -> None:
    job = job_for(tmp_path, **SETTINGS)
    assert getattr(training_arguments(job), name) == getattr(job.training, name)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        *((0, [0, 0, 0, 0]), (0.03, [1, 1, 3, 4]), (0.5, [1, 5, 50, 51]), (0.999, [1, 10, 100, 101])),
        *((1, [1, 10, 100, 101]), (1.0, [1, 10, 100, 101])),
    ],
)
def test_warm_up_is_the_ratio_of_all_steps_rounded_up(
    job_for: JobFor, tmp_path: Path, ratio: float, expected: list[int]
) -> None:
    arguments = training_arguments(job_for(tmp_path, warmup_ratio=ratio))
    assert [arguments.get_warmup_steps(steps) for steps in (1, 10, 100, 101)] == expected


def test_ratio_of_1_makes_every_step_warm_up(job_for: JobFor, tmp_path: Path) -> None:
    arguments = training_arguments(job_for(tmp_path, warmup_ratio=1))
    counts = [*range(1, 3000), 2**31, 10**9 + 7]
    assert [arguments.get_warmup_steps(steps) for steps in counts] == counts


def test_gradient_checkpointing_setting_is_passed_on(job_for: JobFor, tmp_path: Path) -> None:
    for asked in (True, False):
        arguments = training_arguments(job_for(tmp_path, gradient_checkpointing=asked))
        assert arguments.activation_checkpointing is asked
        assert arguments.activation_checkpointing_kwargs == {"use_reentrant": False}


def test_tf32_is_not_requested_on_a_cpu(job_for: JobFor, tmp_path: Path) -> None:
    assert training_arguments(job_for(tmp_path, tf32=True)).tf32 is None


@pytest.mark.parametrize("name", TrainingConfig.model_fields)
def test_each_setting_is_used(name: str) -> None:
    assert name in NAMES


@pytest.mark.parametrize("names", [TrainingConfig.WITHOUT_EFFECT, TrainingConfig.DIVISION])
def test_settings_without_effect_exist(names: frozenset[str]) -> None:
    assert names <= set(TrainingConfig.model_fields)


@pytest.mark.parametrize("name", ["zero2", "zero3", "zero3_offload"])
def test_deepspeed_config_has_the_stage_in_its_name(name: str) -> None:
    settings = read_json(Path(deepspeed_config(name)))
    assert settings["zero_optimization"]["stage"] == int(name[4])
    assert ("offload_param" in settings["zero_optimization"]) == name.endswith("offload")


def test_unknown_deepspeed_config_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose one of zero2, zero3, zero3_offload"):
        deepspeed_config("zero9")


@pytest.mark.parametrize("capability", [(8, 0), (8, 9), (9, 0), (12, 0)])
def test_flash_attention_is_used_if_installed_and_supported(capability: tuple[int, int]) -> None:
    assert choose_attention(AttentionSupport(True, capability), half=True)[0] == "flash_attention_2"


@pytest.mark.parametrize(
    ("support", "half", "reason"),
    [
        (AttentionSupport(True, None), True, "no GPU"),
        (AttentionSupport(True, (7, 5)), True, "7.5 is below 8.0"),
        (AttentionSupport(True, (9, 0)), False, "bf16"),
        (AttentionSupport(False, (9, 0)), True, "not installed"),
    ],
)
def test_sdpa_is_the_fallback_with_a_reason(support: AttentionSupport, half: bool, reason: str) -> None:
    name, found = choose_attention(support, half)
    assert name == "sdpa"
    assert reason in found


def test_attention_support_ignores_gpus_with_use_cpu() -> None:
    assert attention_support(use_cpu=True).capability is None


@pytest.mark.gpu
def test_attention_support_has_the_capability_of_the_gpu() -> None:
    import torch

    assert attention_support(use_cpu=False).capability == torch.cuda.get_device_capability()
