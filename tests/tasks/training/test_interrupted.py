"""Killed or asked to stop, whenever: a training that goes on ends where an uninterrupted one ends."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from shutil import rmtree
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tasks.files import read_json, sha256_of, write_json
from tasks.records import CheckpointRef
from tasks.training.job import TrainingOrder
from tasks.training.launch import train
from tasks.training.worker import work

pytestmark = pytest.mark.slow

OrderFor = Callable[..., TrainingOrder]
# 3 steps an epoch, the last of them with fewer micro-batches; dropout draws anew at every one
SETTINGS = {
    **{"per_device_train_batch_size": 3, "gradient_accumulation_steps": 3, "lora_dropout": 0.05},
    **{"max_steps": 11, "save_steps": 2},
}
KILLED_AT = sorted(Random(28).sample(range(1, 11), 3))
STOPPABLE = """
import sys
from pathlib import Path
from tasks.errors import TrainingStopped
from tasks.files import read_json
from tasks.training.launch import train
from tasks.training.job import TrainingOrder
try:
    train(TrainingOrder.model_validate(read_json(Path(sys.argv[1]))), lambda line: print(line, flush=True))
except TrainingStopped as error:
    sys.exit(f"stopped: {error}")
"""


@pytest.fixture(scope="module")
def uninterrupted(order_for: OrderFor, tmp_path_factory: pytest.TempPathFactory) -> CheckpointRef:
    return train(order_for(tmp_path_factory.mktemp("whole") / "training", **SETTINGS), lambda line: None)


def losses(checkpoint: Path) -> list[float]:
    history = read_json(checkpoint / "trainer_state.json")["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


def require_same(found: CheckpointRef, expected: CheckpointRef) -> None:
    assert found.step == expected.step
    assert losses(found.path) == pytest.approx(losses(expected.path), abs=1e-5)
    for name, read in (
        ("adapter_model.safetensors", load_file),
        ("non_lora_trainables.bin", lambda path: torch.load(path, weights_only=True)),
    ):
        ours, theirs = read(found.path / name), read(expected.path / name)
        assert set(ours) == set(theirs)
        for key, value in theirs.items():
            torch.testing.assert_close(ours[key], value, atol=1e-6, rtol=0, msg=key)


def test_a_training_that_is_killed_again_and_again_ends_as_an_uninterrupted_one(
    uninterrupted: CheckpointRef, order_for: OrderFor, kill_at: Callable[[TrainingOrder, str], None], tmp_path: Path
) -> None:
    order = order_for(tmp_path / "killed", resume=True, **SETTINGS)
    for step in KILLED_AT:
        kill_at(order, f"step {step}/11")
    lines: list[str] = []
    resumed = train(order, lines.append)
    assert any(line.startswith("resuming from checkpoint-") for line in lines)
    require_same(resumed, uninterrupted)


def test_asked_to_stop_it_saves_ends_in_order_and_goes_on_from_there(
    uninterrupted: CheckpointRef, order_for: OrderFor, tmp_path: Path
) -> None:
    order = order_for(tmp_path / "stopped", resume=True, **SETTINGS)
    write_json(tmp_path / "order.json", order.model_dump(mode="json"))
    command = [sys.executable, "-c", STOPPABLE, str(tmp_path / "order.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as parent:
        assert parent.stdout is not None
        assert any("step 5/11" in line for line in parent.stdout)
        parent.send_signal(signal.SIGTERM)
        said = parent.stdout.read()
    assert parent.returncode == 1
    saved = max(order.out.glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2])).name
    assert saved in ("checkpoint-6", "checkpoint-7", "checkpoint-8")
    assert f"stopped: Training cancelled, {saved} saved: " in said
    lines: list[str] = []
    require_same(train(order, lines.append), uninterrupted)
    assert f"resuming from {saved}" in lines


def test_a_finished_training_that_is_resumed_changes_no_byte(uninterrupted: CheckpointRef, order_for: OrderFor) -> None:
    out = uninterrupted.path.parent
    before = {path: (sha256_of(path), path.stat().st_mtime_ns) for path in out.rglob("*") if path.is_file()}
    assert train(order_for(out, resume=True, **SETTINGS), lambda line: pytest.fail(line)) == uninterrupted
    assert {path: (sha256_of(path), path.stat().st_mtime_ns) for path in out.rglob("*") if path.is_file()} == before


# killed between the two, or the end was deleted; in the middle of an epoch and at the end of one
@pytest.mark.parametrize("steps", [{"max_steps": 4}, {"max_steps": 6}, {"max_steps": -1, "num_train_epochs": 0.5}])
def test_a_training_that_lost_its_end_alone_is_trained_no_step_beyond_its_last_checkpoint(
    order_for: OrderFor, tmp_path: Path, steps: dict[str, Any]
) -> None:
    settings = {"lr_scheduler_type": "constant", "eval_strategy": "steps", "save_total_limit": 1, **steps}
    order = order_for(tmp_path / "training", resume=True, **settings)
    done = work(order.model_dump(mode="json"))
    before = {path: sha256_of(path) for path in order.out.rglob("*") if path.is_file()}
    for name in ("final", "best"):
        rmtree(order.out / name)
    assert work(order.model_dump(mode="json")) == done
    assert {path: sha256_of(path) for path in order.out.rglob("*") if path.is_file()} == before
