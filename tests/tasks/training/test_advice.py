"""A training that ended badly says what to change."""

import pytest

from tasks.training.advice import advice_for


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate", "per_device_train_batch_size"),
        ("OSError: [Errno 28] No space left on device", "free space"),
        ("ImportError: flash_attn is not installed", "extra `gpu`"),
        ("RuntimeError: NCCL error in: ProcessGroupNCCL.cpp", "network between them"),
        ("ended after 60 s: the time that it was given is up", "run_timeout_h"),
    ],
)
def test_a_known_sign_gives_its_advice(line: str, advice: str) -> None:
    assert advice in advice_for(1, ["step 1", line, "Traceback"])


@pytest.mark.parametrize("code", [-9, 137])
def test_a_child_that_the_system_killed_wanted_memory(code: int) -> None:
    assert "the system killed it" in advice_for(code, ["step 1"])


def test_without_a_known_sign_the_last_lines_are_pointed_at() -> None:
    assert advice_for(1, ["Traceback", "KeyError: 'x'"]) == "its last lines say why:"
