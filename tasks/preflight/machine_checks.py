"""The machine before a run: GPUs, driver, memory and what DeepSpeed compiles with.

    python -m tasks.preflight.machine_checks --config FILE      FILE holds {"zero": DeepSpeed's ZeRO section or null}

It looks in a child process: asking for a GPU's properties makes a CUDA context, which the run's own process must not
hold, and DeepSpeed talks while it is imported.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from tasks.errors import UserError
from tasks.files import read_json
from tasks.preflight.findings import Finding, ok, stops, warning
from tasks.processes import ProcessFailed, run_worker, serve_worker
from tasks.records import Value
from tasks.settings import TrainingConfig
from tasks.training.attention import Machine, choose_attention
from tasks.training.zero_config import zero_config

WORKER = "tasks.preflight.machine_checks"
# A model of more parameters would not end on CPUs in anybody's lifetime.
TOO_LARGE_FOR_CPUS = 1_000_000_000
BF16_CAPABILITY = (8, 0)
AUTO = "auto"


class Gpu(Value):
    """One GPU: its name, its memory in bytes and its compute capability."""

    name: str
    memory: int
    capability: tuple[int, int]


class MachineFacts(Value):
    """What a machine has; `cuda` is the version that PyTorch was built for, None for a build without.

    `zero_fault` is what DeepSpeed does not understand of its configuration, `fault` why nothing could be found out.
    """

    torch: str = ""
    cuda: str | None = None
    cuda_home: str | None = None
    flash_attn: bool = False
    gpus: tuple[Gpu, ...] = ()
    zero_fault: str | None = None
    fault: str | None = None


def look_at_machine(training: TrainingConfig) -> MachineFacts:
    """The facts that matter to these settings: none of a machine that trains on its CPU without DeepSpeed."""
    if training.use_cpu and training.deepspeed is None:
        return MachineFacts()
    try:
        return MachineFacts.model_validate(run_worker(WORKER, {"zero": _zero_section(training)}, lambda line: None))
    except ProcessFailed as error:
        return MachineFacts(fault=error.lines[-1] if error.lines else f"code {error.code}")


def _zero_section(training: TrainingConfig) -> dict[str, Any] | None:
    """DeepSpeed's ZeRO settings without those that transformers fills in; None where there are none to be read."""
    try:
        written = read_json(Path(zero_config(training.deepspeed))) if training.deepspeed else {}
    except UserError:
        return None
    settings = written.get("zero_optimization")
    return settings and {name: value for name, value in settings.items() if value != AUTO}


def work(config: dict[str, Any]) -> dict[str, Any]:
    """Ask PyTorch what it sees."""
    from importlib.util import find_spec

    import torch

    zero = config["zero"]
    devices = [torch.cuda.get_device_properties(place) for place in range(torch.cuda.device_count())]
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


def _zero_fault(settings: dict[str, Any]) -> str | None:
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
    """GPUs, their driver and attention against the settings, for a model of so many parameters."""
    if training.use_cpu:
        return [ok("GPUs", f"none is used: training.use_cpu is set, {os.cpu_count()} CPUs")]
    if facts.fault is not None:
        return [stops("GPUs", f"PyTorch does not start ({facts.fault}): install it again for this machine")]
    return gpu_findings(facts, training) if facts.gpus else [_no_gpu(facts, parameters)]


def _no_gpu(facts: MachineFacts, parameters: int | None) -> Finding:
    if facts.cuda is None:
        why = f"PyTorch {facts.torch} is a build without CUDA: install one for your driver (pytorch.org)"
    else:
        why = f"PyTorch {facts.torch} for CUDA {facts.cuda} sees none: look at `nvidia-smi` and the driver"
    if parameters is not None and parameters < TOO_LARGE_FOR_CPUS:
        return warning("GPUs", f"there is no GPU, and training runs on the CPU; {why}, or set training.use_cpu=true")
    return stops("GPUs", f"there is no GPU, and this model needs one; {why}")


def gpu_findings(facts: MachineFacts, training: TrainingConfig) -> list[Finding]:
    """The GPUs that there are against the settings."""
    asked, there = training.nproc_per_node, len(facts.gpus)
    names = ", ".join(sorted({f"{gpu.name} {gpu.memory / 1e9:.0f} GB" for gpu in facts.gpus}))
    found = [ok("GPUs", f"{there} ({names}), PyTorch {facts.torch} for CUDA {facts.cuda}")]
    if asked > there:
        found = [stops("GPUs", f"{asked} processes for {there} GPU(s): set training.nproc_per_node={there}")]
    elif asked < there:
        found.append(warning("GPUs", f"{asked} of {there} GPUs used: set training.nproc_per_node={there} for all"))
    capability = min(gpu.capability for gpu in facts.gpus)
    if training.bf16 and capability < BF16_CAPABILITY:
        found.append(stops("GPUs", f"compute capability {capability[0]}.{capability[1]} has no bfloat16: set "
                           "training.bf16=false and training.tf32=false"))  # fmt: skip
    kind, reason = choose_attention(Machine(facts.flash_attn, capability), half=training.bf16)
    found.append(ok("attention", f"{kind}, because {reason}"))
    return found


if __name__ == "__main__":
    sys.exit(serve_worker(work))
