"""A training that is killed or stopped at any step and resumed ends like an uninterrupted one."""

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
from support.trained_checkpoints import losses

from tasks.files import sha256_of, write_json
from tasks.records import CheckpointRef
from tasks.training.job import TrainingJob
from tasks.training.launch import train
from tasks.training.worker import work

pytestmark = pytest.mark.slow

JobFor = Callable[..., TrainingJob]
# 3 steps per epoch, the last with fewer micro-batches; dropout uses new random numbers in each
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
from tasks.training.job import TrainingJob
try:
    train(TrainingJob.model_validate(read_json(Path(sys.argv[1]))), lambda line: print(line, flush=True))
except TrainingStopped as error:
    sys.exit(f"stopped: {error}")
"""


@pytest.fixture(scope="module")
def uninterrupted(job_for: JobFor, tmp_path_factory: pytest.TempPathFactory) -> CheckpointRef:
    return train(job_for(tmp_path_factory.mktemp("whole") / "training", **SETTINGS), lambda line: None)


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


def test_repeatedly_killed_training_ends_like_an_uninterrupted_one(
    uninterrupted: CheckpointRef, job_for: JobFor, kill_at: Callable[[TrainingJob, str], None], tmp_path: Path
) -> None:
    job = job_for(tmp_path / "killed", resume=True, **SETTINGS)
    for step in KILLED_AT:
        kill_at(job, f"step {step}/11")
    lines: list[str] = []
    resumed = train(job, lines.append)
    assert any(line.startswith("resuming from checkpoint-") for line in lines)
    require_same(resumed, uninterrupted)


def test_stopped_training_saves_and_resumes_from_there(
    uninterrupted: CheckpointRef, job_for: JobFor, tmp_path: Path
) -> None:
    job = job_for(tmp_path / "stopped", resume=True, **SETTINGS)
    write_json(tmp_path / "job.json", job.model_dump(mode="json"))
    command = [sys.executable, "-c", STOPPABLE, str(tmp_path / "job.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as parent:
        assert parent.stdout is not None
        assert any("step 5/11" in line for line in parent.stdout)
        parent.send_signal(signal.SIGTERM)
        said = parent.stdout.read()
    assert parent.returncode == 1
    saved = max(job.out.glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2])).name
    assert saved in ("checkpoint-6", "checkpoint-7", "checkpoint-8")
    assert f"stopped: Training cancelled, {saved} saved: " in said
    lines: list[str] = []
    require_same(train(job, lines.append), uninterrupted)
    assert f"resuming from {saved}" in lines


def test_resuming_a_finished_training_changes_no_byte(uninterrupted: CheckpointRef, job_for: JobFor) -> None:
    out = uninterrupted.path.parent
    before = {path: (sha256_of(path), path.stat().st_mtime_ns) for path in out.rglob("*") if path.is_file()}
    assert train(job_for(out, resume=True, **SETTINGS), lambda line: pytest.fail(line)) == uninterrupted
    assert {path: (sha256_of(path), path.stat().st_mtime_ns) for path in out.rglob("*") if path.is_file()} == before


# `final` is missing if the training was killed before it, or if it was deleted; within and at the end of an epoch
@pytest.mark.parametrize("steps", [{"max_steps": 4}, {"max_steps": 6}, {"max_steps": -1, "num_train_epochs": 0.5}])
def test_resuming_after_the_last_step_publishes_its_checkpoint_without_training(
    job_for: JobFor, tmp_path: Path, steps: dict[str, Any]
) -> None:
    settings = {"lr_scheduler_type": "constant", "eval_strategy": "steps", "save_total_limit": 1, **steps}
    job = job_for(tmp_path / "training", resume=True, **settings)
    done = work(job.model_dump(mode="json"))
    before = {path: sha256_of(path) for path in job.out.rglob("*") if path.is_file()}
    for name in ("final", "best"):
        rmtree(job.out / name)
    assert work(job.model_dump(mode="json")) == done
    assert {path: sha256_of(path) for path in job.out.rglob("*") if path.is_file()} == before
