"""What to change when the training process ended badly, read from its exit code and last lines."""

from collections.abc import Sequence

from tasks.processes import TIME_IS_UP

SIGKILL_CODES = (-9, 137)

# The first text that stands in the last lines decides.
SIGNS = (
    (TIME_IS_UP, "raise training.run_timeout_h and start it again: it goes on from its newest checkpoint."),
    ("CUDA out of memory", "the GPU is full; lower per_device_train_batch_size, or take deepspeed zero3_offload."),
    ("DefaultCPUAllocator: can't allocate", "the memory is full; lower per_device_train_batch_size."),
    ("No space left on device", "the disk is full; free space, or lower save_total_limit."),
    ("flash_attn", "flash-attn is asked for and missing; install the extra `gpu`."),
    ("NCCL", "the GPUs cannot talk to each other; check the network between them, or try NCCL_DEBUG=INFO."),
    ("is no readable image", "an image cannot be read; run `rsvlm data filter` on the data again."),
    ("bf16", "this machine has no bfloat16; set training.bf16=false."),
)  # fmt: skip


def advice_for(code: int, lines: Sequence[str]) -> str:
    """One sentence on what to change; without a known sign, where to look."""
    if code in SIGKILL_CODES:
        return "the system killed it, most often for want of memory; lower per_device_train_batch_size."
    text = "\n".join(lines)
    return next((advice for sign, advice in SIGNS if sign in text), "its last lines say why:")
