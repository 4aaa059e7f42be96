"""Memory of one training process before a run, and whether this machine has it."""

import os
from pathlib import Path

from tasks.preflight.data_checks import Lengths
from tasks.preflight.findings import Finding, MemoryRow, ok, size_text, warning
from tasks.preflight.machine_checks import MachineFacts
from tasks.preflight.memory_estimate import (
    Attention,
    BatchSize,
    MemoryEstimate,
    all_parameters,
    estimate_memory,
    trained_parameters,
)
from tasks.preflight.model_shape import ModelShape
from tasks.settings import TrainingConfig
from tasks.training.attention import FLASH, Machine, choose_attention

# Tokens of a question and a short answer beside the image, where no data has been looked at.
USUAL_TEXT, USUAL_ANSWERS = 110, 30
CONTROL_GROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def trained_finding(shape: ModelShape, training: TrainingConfig) -> Finding:
    """How many of all parameters are trained."""
    trained, total = trained_parameters(shape, training), all_parameters(shape, training)
    return ok("trained", f"{trained:,} of {total:,} parameters")


def memory_rows(usual: MemoryEstimate, longest: MemoryEstimate) -> tuple[MemoryRow, ...]:
    """Where memory goes, part by part; a part that takes nothing is left out."""
    parts = {
        "weights": (usual.weights, longest.weights),
        "weights that ZeRO-3 gathers": (usual.gathered, longest.gathered),
        "gradients": (usual.gradients, longest.gradients),
        "optimiser": (usual.optimizer, longest.optimizer),
        "activations that are kept": (usual.activations, longest.activations),
        "one layer at work, or the logits": (usual.working, longest.working),
        "CUDA, NCCL and fragmentation": (usual.reserve, longest.reserve),
        "all": (usual.total, longest.total),
        "besides, in the machine's own memory": (usual.host, longest.host),
    }
    return tuple(MemoryRow(part=part, usual=one, longest=other) for part, (one, other) in parts.items() if other)


def memory_estimates(
    shape: ModelShape, training: TrainingConfig, lengths: Lengths | None, facts: MachineFacts
) -> tuple[MemoryEstimate, MemoryEstimate]:
    """A batch of usual length, and one of the longest samples that model_max_length allows."""
    samples, limit = training.per_device_train_batch_size, training.model_max_length
    known = lengths or Lengths(min(shape.image_tokens + USUAL_TEXT, limit), USUAL_ANSWERS)
    kind = _attention(facts, training)
    batches = (
        BatchSize(samples, known.mean, known.answers),
        # the image's tokens stand before the first answer
        BatchSize(samples, limit, max(limit - shape.image_tokens, 1)),
    )
    usual, longest = (estimate_memory(shape, training, one, training.world_size, kind) for one in batches)
    return usual, longest


def _attention(facts: MachineFacts, training: TrainingConfig) -> Attention:
    gpu = facts.gpus[0].capability if facts.gpus else None
    name, _reason = choose_attention(Machine(facts.flash_attn, gpu), half=training.bf16)
    return "flash" if name == FLASH else "sdpa"


def memory_findings(
    usual: MemoryEstimate, longest: MemoryEstimate, training: TrainingConfig, facts: MachineFacts
) -> list[Finding]:
    """The estimate against the smallest GPU, or against the machine's memory where it trains on the CPU."""
    said = f"about {size_text(usual.total)} a process, {size_text(longest.total)} with the longest samples"
    if not training.use_cpu and not facts.gpus:
        return [ok("memory", f"{said}; there is no GPU to compare with")]
    on_gpu = not training.use_cpu
    have = min(gpu.memory for gpu in facts.gpus) if on_gpu else machine_memory() / training.nproc_per_node
    where = "a GPU" if on_gpu else "this machine a process"
    if longest.total <= have:
        return [ok("memory", f"{said}; {where} has {size_text(have)}")]
    way = (
        "lower per_device_train_batch_size and raise gradient_accumulation_steps by as much, lower model_max_length, "
        "set gradient_checkpointing=true, or take deepspeed zero3 or zero3_offload"
    )
    often = "with every batch" if usual.total > have else "with the longest samples"
    return [warning("memory", f"{said}, but {where} has {size_text(have)} and may run out of it {often}: {way}")]


def machine_memory() -> float:
    """Bytes of memory that this machine or container may use."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(physical, int(CONTROL_GROUP_LIMIT.read_text(encoding="ascii")))
    except (OSError, ValueError):
        # no such file, or "max"
        return physical
