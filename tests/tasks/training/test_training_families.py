"""Each generic family is trained: its loss falls, and a training that is killed ends like an uninterrupted one."""

from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch
from support.killed_training import kill_training
from support.tiny_families import CONFIGS
from support.trained_checkpoints import losses, weights

from tasks.records import ModelRef
from tasks.training.job import TrainingJob
from tasks.training.worker import work

pytestmark = pytest.mark.slow

JobFor = Callable[..., TrainingJob]
# dropout uses new random numbers in each step
SETTINGS: dict[str, Any] = {
    **{"max_steps": 30, "save_steps": 20, "lora_dropout": 0.05, "warmup_ratio": 0.1},
    **{"mm_projector_lr": 1e-3, "gradient_checkpointing": True},
}
KILLED_AT, RESUMED_FROM = 23, 20


@pytest.fixture(scope="module")
def job_of(job_for: JobFor, tiny_family_dir: Callable[[str], Path]) -> JobFor:
    """Jobs for a model type."""

    def build(model_type: str, out: Path, **options: Any) -> TrainingJob:
        base = ModelRef(path=tiny_family_dir(model_type), sha256="base")
        return job_for(out, **SETTINGS, **options).model_copy(update={"base": base})

    return build


@pytest.fixture(scope="module", params=CONFIGS)
def trained(request: pytest.FixtureRequest, job_of: JobFor, tmp_path_factory: pytest.TempPathFactory) -> TrainingJob:
    """An uninterrupted training of 30 steps, not to be changed."""
    job = job_of(request.param, tmp_path_factory.mktemp(request.param) / "training")
    work(job.model_dump(mode="json"))
    return job


def test_loss_falls_over_30_steps(trained: TrainingJob) -> None:
    curve = losses(trained.out / "final")
    assert len(curve) == 30
    assert mean(curve[-5:]) < 0.8 * mean(curve[:5])


def test_killed_and_resumed_training_ends_like_an_uninterrupted_one(
    trained: TrainingJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # the steps before are those of the uninterrupted training
    killed = trained.model_copy(update={"out": tmp_path / "training", "resume": True})
    kill_training(killed, f"step {KILLED_AT}/30")
    assert not (killed.out / "final").exists()
    work(killed.model_dump(mode="json"))
    assert f"resuming from checkpoint-{RESUMED_FROM}" in capsys.readouterr().out
    ours, theirs = killed.out / "final", trained.out / "final"
    assert losses(ours) == pytest.approx(losses(theirs), abs=1e-5)
    found, expected = weights(ours), weights(theirs)
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=0, msg=name)
