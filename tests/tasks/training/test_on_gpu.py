"""Training on a GPU: bfloat16, gradient checkpointing, with and without DeepSpeed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.files import read_json
from tasks.training.job import TrainingJob
from tasks.training.launch import train

pytestmark = pytest.mark.gpu

SETTINGS = {"use_cpu": False, "bf16": True, "tf32": True, "gradient_checkpointing": True, "max_steps": 8}


@pytest.mark.parametrize("deepspeed", [None, "zero2", "zero3", "zero3_offload"])
def test_the_loss_falls(job_for: Callable[..., TrainingJob], tmp_path: Path, deepspeed: str | None) -> None:
    lines: list[str] = []
    final = train(job_for(tmp_path / "training", deepspeed=deepspeed, **SETTINGS), lines.append).path
    history = read_json(final / "trainer_state.json")["log_history"]
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert losses[-1] < losses[0]
    assert any(line.startswith("attention: ") and "no GPU" not in line for line in lines)
