"""Check the DeepSpeed configuration of a run: valid, and consistent with the training's settings."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from tasks.errors import UserError
from tasks.files import read_json
from tasks.preflight.findings import Finding, fatal, ok
from tasks.preflight.machine_checks import AUTO, MachineFacts
from tasks.preflight.memory_estimate import zero_plan
from tasks.settings import TrainingConfig
from tasks.training.arguments import deepspeed_config


def deepspeed_findings(training: TrainingConfig, facts: MachineFacts) -> list[Finding]:
    """Compare the configuration with the batch sizes and the number type of the settings."""
    if training.deepspeed is None:
        return [ok("DeepSpeed", "not used")]
    try:
        file = Path(deepspeed_config(training.deepspeed))
        config = read_json(file)
    except UserError as error:
        return [fatal("DeepSpeed", str(error))]
    found = [*batch_faults(config, training, file), *type_faults(config, training, file)]
    if facts.zero_fault is not None:
        found.append(fatal("DeepSpeed", f"{file} is not valid ({facts.zero_fault}): correct it, or choose another"))
    batch = training.per_device_train_batch_size * training.micro_batches_per_step
    text = (
        f"{training.deepspeed}, {training.per_device_train_batch_size} samples x "
        f"{training.gradient_accumulation_steps} micro-batches x {training.world_size} processes = {batch} per step"
    )
    if found:
        return found
    return [ok("DeepSpeed", text), *([] if training.use_cpu else _compile_findings(facts, training))]


def batch_faults(config: Mapping[str, JsonValue], training: TrainingConfig, file: Path) -> list[Finding]:
    """Batch sizes in the configuration that differ from the settings."""
    samples = training.per_device_train_batch_size
    expected = {
        "train_micro_batch_size_per_gpu": samples,
        "gradient_accumulation_steps": training.gradient_accumulation_steps,
        "train_batch_size": samples * training.micro_batches_per_step,
    }
    return [
        fatal("DeepSpeed", f'{name} of {file} is {config[name]}, but the settings require {value}: set it to "auto"')
        for name, value in expected.items()
        if config.get(name, AUTO) not in (AUTO, value)
    ]


def type_faults(config: Mapping[str, JsonValue], training: TrainingConfig, file: Path) -> list[Finding]:
    """A number type in the configuration that differs from the settings."""
    bf16 = config.get("bf16")
    enabled = bf16.get("enabled", AUTO) if isinstance(bf16, dict) else AUTO
    if enabled in (AUTO, training.bf16):
        return []
    return [
        fatal("DeepSpeed", f'bf16.enabled of {file} is {enabled}, training.bf16 is {training.bf16}: set it to "auto"')
    ]


def _compile_findings(facts: MachineFacts, training: TrainingConfig) -> list[Finding]:
    """With offload, DeepSpeed compiles its CPU optimizer when it is first used."""
    if not zero_plan(training).optimizer_on_cpu:
        return []
    lacking = [tool for tool in ("g++", "ninja") if shutil.which(tool) is None]
    if facts.cuda_home is None:
        lacking.append("CUDA_HOME with nvcc")
    if not lacking:
        return [ok("compiler", f"CUDA toolkit in {facts.cuda_home}")]
    return [fatal("compiler", f"DeepSpeed compiles its optimizer for offload and lacks {', '.join(lacking)}: install "
                  f"the CUDA {facts.cuda} toolkit, or set training.deepspeed=zero3")]  # fmt: skip
