"""The DeepSpeed configuration before a run: valid, and of one mind with the training's settings."""

import shutil
from pathlib import Path
from typing import Any

from tasks.errors import UserError
from tasks.files import read_json
from tasks.preflight.findings import Finding, ok, stops
from tasks.preflight.machine_checks import AUTO, MachineFacts
from tasks.preflight.memory_estimate import zero_plan
from tasks.settings import TrainingConfig
from tasks.training.zero_config import zero_config


def deepspeed_findings(training: TrainingConfig, facts: MachineFacts) -> list[Finding]:
    """The named configuration against batch sizes and number type."""
    if training.deepspeed is None:
        return [ok("DeepSpeed", "not used")]
    try:
        file = Path(zero_config(training.deepspeed))
        config = read_json(file)
    except UserError as error:
        return [stops("DeepSpeed", str(error))]
    found = [*batch_faults(config, training, file), *type_faults(config, training, file)]
    if facts.zero_fault is not None:
        found.append(
            stops("DeepSpeed", f"{file} is not understood ({facts.zero_fault}): correct it, or choose another")
        )
    batch = training.per_device_train_batch_size * training.micro_batches_per_step
    text = (
        f"{training.deepspeed}, {training.per_device_train_batch_size} samples x "
        f"{training.gradient_accumulation_steps} micro-batches x {training.world_size} processes = {batch} a step"
    )
    if found:
        return found
    return [ok("DeepSpeed", text), *([] if training.use_cpu else _compile_findings(facts, training))]


def batch_faults(config: dict[str, Any], training: TrainingConfig, file: Path) -> list[Finding]:
    """Batch sizes that are written down and are not those of the settings."""
    samples = training.per_device_train_batch_size
    expected = {
        "train_micro_batch_size_per_gpu": samples,
        "gradient_accumulation_steps": training.gradient_accumulation_steps,
        "train_batch_size": samples * training.micro_batches_per_step,
    }
    return [
        stops("DeepSpeed", f'{name} of {file} is {config[name]}, but the settings make it {value}: write "auto" there')
        for name, value in expected.items()
        if config.get(name, AUTO) not in (AUTO, value)
    ]


def type_faults(config: dict[str, Any], training: TrainingConfig, file: Path) -> list[Finding]:
    """A number type that is written down and is not that of the settings."""
    enabled = config.get("bf16", {}).get("enabled", AUTO)
    if enabled in (AUTO, training.bf16):
        return []
    return [
        stops("DeepSpeed", f'bf16.enabled of {file} is {enabled}, but training.bf16 is {training.bf16}: write "auto"')
    ]


def _compile_findings(facts: MachineFacts, training: TrainingConfig) -> list[Finding]:
    """DeepSpeed compiles its optimiser for the CPU when it first offloads one."""
    if not zero_plan(training).optimizer_on_cpu:
        return []
    lacking = [tool for tool in ("g++", "ninja") if shutil.which(tool) is None]
    if facts.cuda_home is None:
        lacking.append("CUDA_HOME with nvcc")
    if not lacking:
        return [ok("compiler", f"CUDA toolkit in {facts.cuda_home}")]
    return [stops("compiler", f"DeepSpeed compiles its optimiser for offload and lacks {', '.join(lacking)}: install "
                  f"the CUDA {facts.cuda} toolkit, or set training.deepspeed=zero3")]  # fmt: skip
