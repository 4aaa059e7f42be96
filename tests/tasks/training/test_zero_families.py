"""Real DeepSpeed with two processes on CPUs, for each generic family: the losses and weights of one process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.job_series import train_all
from support.trained_checkpoints import losses, weights

from tasks.files import read_json, write_json
from tasks.model.families import family_of
from tasks.records import CheckpointRef, ModelRef
from tasks.training.job import TrainingJob

pytestmark = pytest.mark.slow

JobFor = Callable[..., TrainingJob]
MODEL_TYPES = (
    "qwen2_5_vl", "qwen3_vl", "llava_next", "llava_onevision", "internvl", "idefics3", "smolvlm", "paligemma",
)  # fmt: skip
# weight decay applies only to matrices, and ZeRO-3 hides shapes
SETTINGS: dict[str, Any] = {
    **{"per_device_train_batch_size": 2, "weight_decay": 0.5, "max_steps": 2, "save_strategy": "no"},
    **{"gradient_checkpointing": True},
}


@pytest.fixture(scope="module")
def job_of(job_for: JobFor, tiny_family_dir: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> JobFor:
    """Jobs for a model type; some records have no image: different paths through the model would deadlock."""
    root = tmp_path_factory.mktemp("families")

    def build(model_type: str, name: str, **settings: Any) -> TrainingJob:
        job = job_for(root / model_type / name, **SETTINGS, **settings)
        folder = root / "mixed"
        folder.mkdir(exist_ok=True)
        for file in ("data_train.json", "data_val.json"):
            records = read_json(job.dataset.path / file)
            for record in records[::4]:
                del record["image"]
            write_json(folder / file, records)
        dataset = job.dataset.model_copy(update={"path": folder})
        base = ModelRef(path=tiny_family_dir(model_type), sha256="base")
        return job.model_copy(update={"dataset": dataset, "base": base})

    return build


@pytest.fixture(scope="module")
def trained(job_of: JobFor) -> dict[str, tuple[CheckpointRef, CheckpointRef]]:
    """The checkpoints of each model type: of one process, and of two with ZeRO-3."""
    alone = train_all([job_of(name, "one", gradient_accumulation_steps=2) for name in MODEL_TYPES])
    both = train_all([job_of(name, "two", nproc_per_node=2, deepspeed="zero3") for name in MODEL_TYPES])
    return dict(zip(MODEL_TYPES, zip(alone, both, strict=True), strict=True))


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_zero3_reaches_the_losses_and_weights_of_one_process(
    model_type: str, trained: dict[str, tuple[CheckpointRef, CheckpointRef]], tiny_family_dir: Callable[[str], Path]
) -> None:
    assert family_of(tiny_family_dir(model_type)).zero3
    alone, both = (checkpoint.path for checkpoint in trained[model_type])
    assert losses(both) == pytest.approx(losses(alone), abs=1e-4)
    ours, theirs = weights(both), weights(alone)
    assert {name: value.shape for name, value in ours.items()} == {name: v.shape for name, v in theirs.items()}
    for name, expected in theirs.items():
        # equal up to the order of float32 sums
        assert float((ours[name] - expected).norm()) <= 5e-4 * float(torch.linalg.vector_norm(expected)), name
