"""The first checkpoint is checked: complete adapters, B matrices that are not zero, a projector that changed."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.errors import TrainingError
from tasks.model.llava.tensor_names import NAMES
from tasks.paths import ADAPTER_WEIGHTS, NON_LORA_WEIGHTS
from tasks.training.arguments import training_arguments
from tasks.training.checkpoint_checks import checkpoint_fault
from tasks.training.checkpoint_weights import gather
from tasks.training.job import TrainingJob
from tasks.training.worker import build_trainer

JobFor = Callable[..., TrainingJob]


@pytest.fixture(scope="module")
def trained(job_for: JobFor, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A trainer after two steps, its checkpoint and the initial values of its projector."""
    job = job_for(tmp_path_factory.mktemp("learned"), max_steps=2)
    trainer = build_trainer(job, training_arguments(job))
    start = gather(trainer.model, lambda name, _: NAMES.is_projector(name))
    trainer.train()
    return SimpleNamespace(model=trainer.model, start=start, checkpoint=job.out / "checkpoint-2")


def test_trained_checkpoint_has_no_fault(trained: SimpleNamespace) -> None:
    assert len(trained.start) == 4
    assert checkpoint_fault(trained.checkpoint, trained.model, trained.start, NAMES) is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda name, value: None if "layers.1.mlp.up_proj.lora_A" in name else value, "is missing"),
        (lambda name, value: value[:0] if "layers.1.mlp.up_proj.lora_A" in name else value, "has the shape"),
        (lambda name, value: value * ("layers.1.mlp.up_proj.lora_B" not in name), "is still zero"),
    ],
)
def test_incomplete_adapter_is_named(
    trained: SimpleNamespace, tmp_path: Path, change: Callable[[str, torch.Tensor], torch.Tensor | None], fault: str
) -> None:
    broken = tmp_path / "checkpoint-2"
    copytree(trained.checkpoint, broken)
    weights = {name: change(name, value) for name, value in load_file(broken / ADAPTER_WEIGHTS).items()}
    save_file(
        {name: value.contiguous() for name, value in weights.items() if value is not None}, broken / ADAPTER_WEIGHTS
    )
    found = checkpoint_fault(broken, trained.model, trained.start, NAMES)
    assert found is not None
    assert fault in found
    assert "layers.1.mlp.up_proj" in found


def test_unchanged_projector_is_a_fault(trained: SimpleNamespace, tmp_path: Path) -> None:
    broken = tmp_path / "checkpoint-2"
    copytree(trained.checkpoint, broken)
    torch.save(trained.start, broken / NON_LORA_WEIGHTS)
    assert checkpoint_fault(broken, trained.model, trained.start, NAMES) == "the projector has not changed"


@pytest.mark.parametrize(
    ("settings", "fault"),
    [({"learning_rate": 1e-300}, "lora_B.* is still zero"), ({"mm_projector_lr": 1e-30}, "projector has not changed")],
)
def test_training_that_changes_nothing_ends_at_its_first_checkpoint(
    job_for: JobFor, tmp_path: Path, settings: dict[str, float], fault: str
) -> None:
    job = job_for(tmp_path, **settings)
    trainer = build_trainer(job, training_arguments(job))
    with pytest.raises(TrainingError, match=fault):
        trainer.train()
    assert trainer.state.global_step == 2
    assert not (tmp_path / "checkpoint-2" / "COMPLETE.json").exists()


def test_warm_up_step_at_rate_0_is_not_a_fault(job_for: JobFor, tmp_path: Path) -> None:
    job = job_for(tmp_path, warmup_ratio=0.5, max_steps=2, save_steps=1)
    build_trainer(job, training_arguments(job)).train()
    assert (tmp_path / "checkpoint-1" / "COMPLETE.json").exists()
