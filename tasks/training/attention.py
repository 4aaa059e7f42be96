"""Which attention the model computes with: FlashAttention 2 where it is installed and can run, else PyTorch's SDPA."""

from dataclasses import dataclass
from importlib.util import find_spec

FLASH, SDPA = "flash_attention_2", "sdpa"
# FlashAttention 2 runs on Ampere and newer.
FLASH_CAPABILITY = (8, 0)


@dataclass(frozen=True)
class Machine:
    """What decides it: whether flash-attn is installed, and the GPU's compute capability (None: no GPU is used)."""

    flash_attn: bool
    capability: tuple[int, int] | None


def this_machine(use_cpu: bool) -> Machine:
    """The machine that this process runs on."""
    import torch

    gpu = torch.cuda.is_available() and not use_cpu
    return Machine(find_spec("flash_attn") is not None, torch.cuda.get_device_capability() if gpu else None)


def choose_attention(machine: Machine, half: bool) -> tuple[str, str]:
    """transformers' name of the attention, and why it is that one; `half`: weights are in bfloat16 or float16."""
    if machine.capability is None:
        return SDPA, "no GPU is used"
    if machine.capability < FLASH_CAPABILITY:
        major, minor = machine.capability
        return (
            SDPA,
            f"the GPU's compute capability {major}.{minor} is below {FLASH_CAPABILITY[0]}.{FLASH_CAPABILITY[1]}",
        )
    if not half:
        return SDPA, "FlashAttention needs bf16"
    if not machine.flash_attn:
        return SDPA, "flash-attn is not installed (the extra `gpu`)"
    return FLASH, "flash-attn is installed and the GPU can run it"
