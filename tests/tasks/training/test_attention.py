"""FlashAttention 2 only where it can run, and a reason for what was chosen."""

import pytest

from tasks.training.attention import Machine, choose_attention, this_machine


@pytest.mark.parametrize("capability", [(8, 0), (8, 9), (9, 0), (12, 0)])
def test_flash_attention_where_it_is_installed_and_the_gpu_can_run_it(capability: tuple[int, int]) -> None:
    assert choose_attention(Machine(True, capability), half=True)[0] == "flash_attention_2"


@pytest.mark.parametrize(
    ("machine", "half", "reason"),
    [
        (Machine(True, None), True, "no GPU"),
        (Machine(True, (7, 5)), True, "7.5 is below 8.0"),
        (Machine(True, (9, 0)), False, "bf16"),
        (Machine(False, (9, 0)), True, "not installed"),
    ],
)
def test_else_pytorchs_own_and_the_reason_is_told(machine: Machine, half: bool, reason: str) -> None:
    name, told = choose_attention(machine, half)
    assert name == "sdpa"
    assert reason in told


def test_a_run_on_the_cpu_looks_at_no_gpu() -> None:
    assert this_machine(use_cpu=True).capability is None


@pytest.mark.gpu
def test_a_gpu_tells_its_capability() -> None:
    import torch

    assert this_machine(use_cpu=False).capability == torch.cuda.get_device_capability()
