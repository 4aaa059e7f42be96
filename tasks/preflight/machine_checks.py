"""Check the machine of a run: GPUs, driver, number type and attention.

    python -m tasks.preflight.machine_checks --config FILE      FILE holds {"zero": DeepSpeed's ZeRO section or null}

The facts are collected in a child process: querying a GPU creates a CUDA context, which the run's own process must not
hold, and DeepSpeed prints messages when imported.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from tasks.errors import UserError
from tasks.files import read_json
from tasks.preflight.findings import Finding, fatal, ok, warning
from tasks.processes import ProcessFailed, run_worker, serve_worker
from tasks.records import Value
from tasks.settings import TrainingConfig
from tasks.training.arguments import AttentionSupport, choose_attention, deepspeed_config

WORKER = "tasks.preflight.machine_checks"
# Training a model with more parameters on CPUs would take years.
CPU_MAX_PARAMETERS = 1_000_000_000
BF16_CAPABILITY = (8, 0)
AUTO = "auto"


class Gpu(Value):
    """One GPU: name, memory in bytes, and compute capability."""

    name: str
    memory: int
    capability: tuple[int, int]


class MachineFacts(Value):
    """Hardware and software of a machine; `cuda` is the version that PyTorch was built for, None without CUDA.

    `zero_fault` is what is wrong with DeepSpeed's configuration, `fault` why the facts could not be collected.
    """

    torch: str = ""
    cuda: str | None = None
    cuda_home: str | None = None
    flash_attn: bool = False
    gpus: tuple[Gpu, ...] = ()
    zero_fault: str | None = None
    fault: str | None = None


def collect_facts(training: TrainingConfig) -> MachineFacts:
    """Collect the facts that the settings need: none to train on a CPU without DeepSpeed."""
    if training.use_cpu and training.deepspeed is None:
        return MachineFacts()
    try:
        return MachineFacts.model_validate(run_worker(WORKER, {"zero": _zero_section(training)}, lambda line: None))
    except ProcessFailed as error:
        return MachineFacts(fault=error.lines[-1] if error.lines else f"code {error.code}")


def _zero_section(training: TrainingConfig) -> dict[str, JsonValue] | None:
    """DeepSpeed's ZeRO settings without those that transformers fills in; None if there are none to check."""
    try:
        written = read_json(Path(deepspeed_config(training.deepspeed))) if training.deepspeed else {}
    except UserError:
        return None
    settings = written.get("zero_optimization")
    return settings and {name: value for name, value in settings.items() if value != AUTO}


def work(config: Mapping[str, Mapping[str, JsonValue] | None]) -> dict[str, JsonValue]:
    """Collect MachineFacts from PyTorch and DeepSpeed."""
    from importlib.util import find_spec

    import torch

    zero = config["zero"]
    devices = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    compiler = shutil.which("nvcc")
    gpus = [Gpu(name=one.name, memory=one.total_memory, capability=(one.major, one.minor)) for one in devices]
    return MachineFacts(
        torch=torch.__version__,
        cuda=torch.version.cuda,
        cuda_home=os.environ.get("CUDA_HOME") or (str(Path(compiler).parents[1]) if compiler else None),
        flash_attn=find_spec("flash_attn") is not None,
        gpus=tuple(gpus),
        zero_fault=None if zero is None else _zero_fault(zero),
    ).model_dump(mode="json")


def _zero_fault(settings: Mapping[str, JsonValue]) -> str | None:
    try:
        from deepspeed.runtime.zero.config import DeepSpeedZeroConfig
    except ImportError as error:
        return f"DeepSpeed cannot be imported ({error}): install it again"
    from pydantic import ValidationError

    try:
        DeepSpeedZeroConfig(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, ('zero_optimization', *first['loc'])))}: {first['msg']}"
    return None


def machine_findings(facts: MachineFacts, training: TrainingConfig, parameters: int | None) -> list[Finding]:
    """Compare GPUs, driver and attention with the settings, for a model with this number of parameters."""
    if training.use_cpu:
        return [ok("GPUs", f"not used: training.use_cpu is set, {os.cpu_count()} CPUs")]
    if facts.fault is not None:
        return [fatal("GPUs", f"PyTorch does not start ({facts.fault}): install it again for this machine")]
    return gpu_findings(facts, training) if facts.gpus else [_no_gpu(facts, parameters)]


def _no_gpu(facts: MachineFacts, parameters: int | None) -> Finding:
    if facts.cuda is None:
        why = f"PyTorch {facts.torch} is a build without CUDA: install one for your driver (pytorch.org)"
    else:
        why = f"PyTorch {facts.torch} for CUDA {facts.cuda} sees none: check `nvidia-smi` and the driver"
    if parameters is not None and parameters < CPU_MAX_PARAMETERS:
        return warning("GPUs", f"there is no GPU, and training runs on the CPU; {why}, or set training.use_cpu=true")
    return fatal("GPUs", f"there is no GPU, and this model needs one; {why}")


def gpu_findings(facts: MachineFacts, training: TrainingConfig) -> list[Finding]:
    """Compare the available GPUs with the settings."""
    wanted, available = training.nproc_per_node, len(facts.gpus)
    names = ", ".join(sorted({f"{gpu.name} {gpu.memory / 1e9:.0f} GB" for gpu in facts.gpus}))
    found = [ok("GPUs", f"{available} ({names}), PyTorch {facts.torch} for CUDA {facts.cuda}")]
    if wanted > available:
        found = [fatal("GPUs", f"{wanted} processes for {available} GPU(s): set training.nproc_per_node={available}")]
    elif wanted < available:
        text = f"{wanted} of {available} GPUs used: set training.nproc_per_node={available} for all"
        found.append(warning("GPUs", text))
    capability = min(gpu.capability for gpu in facts.gpus)
    if training.bf16 and capability < BF16_CAPABILITY:
        found.append(fatal("GPUs", f"compute capability {capability[0]}.{capability[1]} has no bfloat16: set "
                           "training.bf16=false and training.tf32=false"))  # fmt: skip
    kind, reason = choose_attention(AttentionSupport(facts.flash_attn, capability), half=training.bf16)
    found.append(ok("attention", f"{kind}, because {reason}"))
    return found


if __name__ == "__main__":
    sys.exit(serve_worker(work))
