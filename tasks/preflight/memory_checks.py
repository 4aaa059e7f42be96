"""Check the memory of a run: the estimate for one training process against the memory of this machine."""

import os
from pathlib import Path

from tasks.model.shape import ModelShape
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
from tasks.settings import TrainingConfig
from tasks.training.arguments import FLASH, AttentionSupport, choose_attention

# Tokens of question and answer next to the image, and from the answer on, if there are no records to measure.
TYPICAL_TEXT, TYPICAL_ANSWERS = 110, 30
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def trained_finding(shape: ModelShape, training: TrainingConfig) -> Finding:
    """The number of trained parameters, and of all."""
    trained, total = trained_parameters(shape, training), all_parameters(shape, training)
    return ok("trained", f"{trained:,} of {total:,} parameters")


def memory_rows(typical: MemoryEstimate, longest: MemoryEstimate) -> tuple[MemoryRow, ...]:
    """The memory estimate by part; empty parts are omitted."""
    parts = {
        "weights": (typical.weights, longest.weights),
        "weights gathered by ZeRO-3": (typical.gathered, longest.gathered),
        "gradients": (typical.gradients, longest.gradients),
        "optimizer": (typical.optimizer, longest.optimizer),
        "activations": (typical.activations, longest.activations),
        "one layer's backward pass, or the logits": (typical.working, longest.working),
        "CUDA, NCCL and fragmentation": (typical.reserve, longest.reserve),
        "total": (typical.total, longest.total),
        "additionally, in host memory": (typical.host, longest.host),
    }
    return tuple(MemoryRow(part=part, usual=one, longest=other) for part, (one, other) in parts.items() if other)


def memory_estimates(
    shape: ModelShape, training: TrainingConfig, lengths: Lengths | None, facts: MachineFacts
) -> tuple[MemoryEstimate, MemoryEstimate]:
    """Estimates for a batch of typical length, and for one of the longest samples that model_max_length allows."""
    samples, limit = training.per_device_train_batch_size, training.model_max_length
    known = lengths or Lengths(min(shape.image_tokens + TYPICAL_TEXT, limit), TYPICAL_ANSWERS)
    kind = _attention(facts, training)
    batches = (
        BatchSize(samples, known.mean, known.answers),
        # the image's tokens come before the first answer
        BatchSize(samples, limit, max(limit - shape.image_tokens, 1)),
    )
    typical, longest = (estimate_memory(shape, training, one, training.world_size, kind) for one in batches)
    return typical, longest


def _attention(facts: MachineFacts, training: TrainingConfig) -> Attention:
    gpu = facts.gpus[0].capability if facts.gpus else None
    name, _reason = choose_attention(AttentionSupport(facts.flash_attn, gpu), half=training.bf16)
    return "flash" if name == FLASH else "sdpa"


def memory_findings(
    typical: MemoryEstimate, longest: MemoryEstimate, training: TrainingConfig, facts: MachineFacts
) -> list[Finding]:
    """Compare the estimate with the smallest GPU, or with the machine's memory if it trains on the CPU."""
    needed = f"about {size_text(typical.total)} per process, {size_text(longest.total)} with the longest samples"
    if not training.use_cpu and not facts.gpus:
        return [ok("memory", f"{needed}; there is no GPU to compare with")]
    on_gpu = not training.use_cpu
    available = min(gpu.memory for gpu in facts.gpus) if on_gpu else machine_memory() / training.nproc_per_node
    where = "a GPU has" if on_gpu else "this machine has per process"
    if longest.total <= available:
        return [ok("memory", f"{needed}; {where} {size_text(available)}")]
    remedy = (
        "lower per_device_train_batch_size and raise gradient_accumulation_steps by the same factor, lower "
        "model_max_length, set gradient_checkpointing=true, or use deepspeed zero3 or zero3_offload"
    )
    when = "with every batch" if typical.total > available else "with the longest samples"
    return [warning("memory", f"{needed}, but {where} {size_text(available)} and may run out {when}: {remedy}")]


def machine_memory() -> float:
    """Memory of this machine or container, in bytes."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(physical, int(CGROUP_LIMIT.read_text(encoding="ascii")))
    except (OSError, ValueError):
        # no such file, or "max"
        return physical
