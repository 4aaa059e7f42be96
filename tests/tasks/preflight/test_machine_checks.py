"""GPUs, driver, DeepSpeed and memory against the settings; with described machines, and this one."""

from pathlib import Path
from typing import Any

import pytest

from tasks.model.llava.shape import published_shape
from tasks.model.shape import ModelShape
from tasks.preflight.deepspeed_checks import deepspeed_findings
from tasks.preflight.disk_checks import bytes_needed, checkpoint_count, checkpoint_size, disk_findings
from tasks.preflight.findings import Finding
from tasks.preflight.machine_checks import Gpu, MachineFacts, collect_facts, machine_findings
from tasks.preflight.memory_checks import memory_estimates, memory_findings, memory_rows
from tasks.preflight.memory_estimate import trained_parameters
from tasks.settings import ExperimentConfig, TrainingConfig
from tasks.training.arguments import deepspeed_config

SEVEN_BILLION = 7_000_000_000
A100 = Gpu(name="A100", memory=80 * 10**9, capability=(8, 0))
V100 = Gpu(name="V100", memory=16 * 10**9, capability=(7, 0))


def facts(*gpus: Gpu, **others: Any) -> MachineFacts:
    return MachineFacts(torch="2.6.0", cuda="12.4", gpus=gpus, **others)


def shape() -> ModelShape:
    found = published_shape("llava-hf/llava-1.5-7b-hf")
    assert found is not None
    return found


def levels(findings: list[Finding]) -> dict[str, str]:
    return {finding.check: finding.level for finding in findings}


def test_no_gpu_is_an_error_for_a_large_model_and_names_the_cause() -> None:
    (found,) = machine_findings(MachineFacts(torch="2.6.0+cpu"), TrainingConfig(), SEVEN_BILLION)
    assert found.level == "stops" and "a build without CUDA" in found.text
    (found,) = machine_findings(facts(), TrainingConfig(), None)
    assert found.level == "stops" and "`nvidia-smi`" in found.text


def test_no_gpu_is_accepted_for_a_toy_or_with_use_cpu() -> None:
    (found,) = machine_findings(facts(), TrainingConfig(), 600_000)
    assert found.level == "warning" and "training.use_cpu=true" in found.text
    (found,) = machine_findings(MachineFacts(), TrainingConfig(use_cpu=True), SEVEN_BILLION)
    assert found.level == "ok"


def test_pytorch_that_does_not_start_is_an_error() -> None:
    (found,) = machine_findings(MachineFacts(fault="libcudart.so.12: cannot open"), TrainingConfig(), None)
    assert found.level == "stops" and "libcudart" in found.text


def test_more_processes_than_gpus_is_an_error_and_fewer_a_warning() -> None:
    asked = TrainingConfig(nproc_per_node=4)
    assert "set training.nproc_per_node=2" in machine_findings(facts(A100, A100), asked, None)[0].text
    assert levels(machine_findings(facts(A100, A100), TrainingConfig(), None))["GPUs"] == "warning"
    assert set(levels(machine_findings(facts(*[A100] * 4), asked, None)).values()) == {"ok"}


def test_bf16_on_a_gpu_without_bfloat16_is_an_error() -> None:
    assert "training.bf16=false" in machine_findings(facts(V100), TrainingConfig(), None)[1].text
    assert levels(machine_findings(facts(V100), TrainingConfig(bf16=False), None))["GPUs"] == "ok"


def test_attention_is_reported_with_its_reason() -> None:
    texts = [
        next(found.text for found in machine_findings(machine, TrainingConfig(), None) if found.check == "attention")
        for machine in (facts(A100), facts(A100, flash_attn=True), facts(V100, flash_attn=True))
    ]
    assert texts[0].startswith("sdpa, because flash-attn is not installed")
    assert texts[1].startswith("flash_attention_2, because")
    assert texts[2].startswith("sdpa, because the GPU's compute capability 7.0")


@pytest.mark.parametrize("name", ["zero2", "zero3", "zero3_offload"])
def test_shipped_deepspeed_configs_fit_any_batch_size(name: str) -> None:
    training = TrainingConfig(deepspeed=name, per_device_train_batch_size=3, nproc_per_node=2, use_cpu=True)
    (found,) = deepspeed_findings(training, MachineFacts())
    assert found.level == "ok"
    assert "3 samples x 10 micro-batches x 2 processes = 60 per step" in found.text


def test_deepspeed_config_with_other_batch_sizes_or_number_type_is_an_error(tmp_path: Path) -> None:
    import json

    from tasks.preflight.deepspeed_checks import batch_faults, type_faults

    training = TrainingConfig(deepspeed="zero3", nproc_per_node=4)
    written = json.loads(Path(deepspeed_config("zero3")).read_text())
    (found,) = batch_faults({**written, "train_batch_size": 64}, training, tmp_path)
    assert "is 64, but the settings require 80" in found.text
    assert batch_faults({**written, "train_batch_size": 80}, training, tmp_path) == []
    (found,) = type_faults({**written, "bf16": {"enabled": False}}, training, tmp_path)
    assert "training.bf16 is True" in found.text


def test_invalid_deepspeed_config_is_an_error() -> None:
    machine = MachineFacts(zero_fault="zero_optimization.stage: Input should be 0, 1, 2, 3 or 3")
    (found,) = deepspeed_findings(TrainingConfig(deepspeed="zero3"), machine)
    assert found.level == "stops" and "zero_optimization.stage" in found.text


def test_offload_without_a_cuda_toolkit_is_an_error_on_a_gpu() -> None:
    training = TrainingConfig(deepspeed="zero3_offload")
    assert "CUDA_HOME with nvcc" in deepspeed_findings(training, facts(A100))[1].text
    lacking = [found.text for found in deepspeed_findings(training, facts(A100, cuda_home="/usr/local/cuda"))]
    assert not any("CUDA_HOME" in text for text in lacking)


@pytest.mark.slow
def test_facts_are_collected_in_a_child_process() -> None:
    found = collect_facts(TrainingConfig(deepspeed="zero3"))
    assert (found.fault, found.zero_fault) == (None, None)
    assert found.torch


def test_too_small_gpu_is_a_warning_with_a_remedy() -> None:
    training = TrainingConfig(deepspeed="zero3", nproc_per_node=4)
    for gpu, level in ((A100, "ok"), (Gpu(name="T4", memory=10 * 10**9, capability=(7, 5)), "warning")):
        machine = facts(*[gpu] * 4)
        usual, longest = memory_estimates(shape(), training, None, machine)
        (found,) = memory_findings(usual, longest, training, machine)
        assert found.level == level
    assert "with the longest samples: lower per_device_train_batch_size" in found.text


def test_memory_rows_add_up_to_the_total() -> None:
    training = TrainingConfig(deepspeed="zero3", nproc_per_node=4)
    *parts, whole = memory_rows(*memory_estimates(shape(), training, None, facts()))
    assert whole.part == "total"
    assert sum(row.longest for row in parts) == pytest.approx(whole.longest)
    assert all(row.usual <= row.longest for row in parts)


def test_checkpoint_size_of_the_reference_run_covers_adapter_projector_and_optimizer() -> None:
    trained = trained_parameters(shape(), TrainingConfig())
    size = checkpoint_size(shape(), TrainingConfig(deepspeed="zero3"))
    assert size.model == 2 * trained
    assert size.resuming == (12 + 2) * trained


@pytest.mark.parametrize(
    ("settings", "records", "saves"),
    [
        ({"num_train_epochs": 10, "save_steps": 100}, 2000, 11),
        ({"max_steps": 250, "save_steps": 100}, None, 3),
        ({"save_strategy": "no"}, 2000, 1),
    ],
)
def test_checkpoint_count_equals_what_the_training_writes(
    settings: dict[str, Any], records: int | None, saves: int
) -> None:
    assert checkpoint_count(TrainingConfig.model_validate(settings), records) == saves


def experiment(**sections: dict[str, Any]) -> ExperimentConfig:
    return ExperimentConfig.model_validate(sections)


def test_store_on_the_same_disk_needs_space_for_every_checkpoint() -> None:
    apart = bytes_needed(experiment(), shape(), 10, same_disk=False)
    beside = bytes_needed(experiment(), shape(), 10, same_disk=True)
    one = checkpoint_size(shape(), TrainingConfig()).total
    assert apart["3 checkpoints"] == 3 * one
    assert beside["the store"] == 10 * one + beside["the merged model"]
    few = experiment(archive={"keep": {"last": 2}})
    assert bytes_needed(few, shape(), 10, same_disk=True)["the store"] < beside["the store"]


def test_too_little_disk_space_is_an_error(tmp_path: Path) -> None:
    config = experiment(training={"max_steps": 10**7, "save_steps": 1, "save_total_limit": None})
    (found,) = disk_findings(config, shape(), None, (tmp_path / "workspace", "s3://bucket"))
    assert found.level == "stops" and "lower save_total_limit" in found.text
    (found,) = disk_findings(config, None, None, (tmp_path, "s3://bucket"))
    assert found.level == "ok"
