"""Real DeepSpeed with two processes on CPUs: the losses of one process, and complete checkpoints."""

from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.locations import ORACLE
from support.trained_checkpoints import losses, weights

from tasks.errors import TrainingError
from tasks.files import read_json, write_json
from tasks.merging.merge import merge_adapter
from tasks.model.llava.configured_base import model_digest
from tasks.model.loading import LoadedModel, load_model
from tasks.records import ModelRef
from tasks.storage.checkpoints.paths import archive_checkpoint
from tasks.storage.local_store import LocalStore
from tasks.training.job import TrainingJob
from tasks.training.launch import train
from tasks.training.resuming import fetch_newer

pytestmark = pytest.mark.slow

ORIGINAL = ORACLE / "models" / "tiny-llava-v1.5"
JobFor = Callable[..., TrainingJob]
# weight decay applies only to matrices, and ZeRO-3 hides shapes
SETTINGS: dict[str, Any] = {
    **{"per_device_train_batch_size": 2, "weight_decay": 0.5, "max_steps": 4, "save_steps": 2},
    **{"gradient_checkpointing": True},
}
ONE_PROCESS = {"gradient_accumulation_steps": 2}
TWO_PROCESSES = {"nproc_per_node": 2}
NOT_IN_FINAL = ("global_step*", "latest", "zero_to_*", "rng_state*", "scheduler.pt", "training_args.bin")


def require_near(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    """Equal up to the order of float32 sums."""
    assert {name: value.shape for name, value in ours.items()} == {name: v.shape for name, v in theirs.items()}
    for name, expected in theirs.items():
        assert float((ours[name] - expected).norm()) <= 5e-4 * float(expected.norm()), name


@pytest.fixture(scope="module")
def job_for(job_for: JobFor, tmp_path_factory: pytest.TempPathFactory) -> JobFor:
    """Jobs on the same sets, but some records have no image: different paths through the model would deadlock."""
    folder = tmp_path_factory.mktemp("mixed")

    def build(out: Path, **settings: Any) -> TrainingJob:
        job = job_for(out, **settings)
        for name in ("data_train.json", "data_val.json"):
            records = read_json(job.dataset.path / name)
            for record in records[::4]:
                del record["image"]
            write_json(folder / name, records)
        return job.model_copy(update={"dataset": job.dataset.model_copy(update={"path": folder})})

    return build


@pytest.fixture(scope="module")
def one_process(job_for: JobFor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    job = job_for(tmp_path_factory.mktemp("one") / "training", **SETTINGS, **ONE_PROCESS)
    return train(job, lambda line: None).path


@pytest.fixture(scope="module")
def zero3(
    job_for: JobFor, kill_at: Callable[[TrainingJob, str], None], tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """Trained by two processes, killed, deleted except for the store, and resumed from there."""
    folder, lines = tmp_path_factory.mktemp("zero3"), []
    job = job_for(folder / "training", resume=True, deepspeed="zero3", **SETTINGS, **TWO_PROCESSES)
    kill_at(job, "step 3/4")
    store = LocalStore(folder / "store")
    archive_checkpoint(job.out / "checkpoint-2", store, "run", 2)
    rmtree(job.out)
    fetch_newer(job, store, ("run",))
    return SimpleNamespace(job=job, final=train(job, lines.append).path, lines=lines)


def test_zero3_resumes_from_the_store(zero3: SimpleNamespace) -> None:
    assert "resuming from checkpoint-2" in zero3.lines
    assert any(line.startswith("step 3/4") for line in zero3.lines)
    assert not any(line.startswith("step 2/4") for line in zero3.lines)


def test_zero3_reaches_the_losses_and_weights_of_one_process(zero3: SimpleNamespace, one_process: Path) -> None:
    assert losses(zero3.final) == pytest.approx(losses(one_process), abs=1e-4)
    require_near(weights(zero3.final), weights(one_process))


def test_zero3_final_model_has_no_optimizer_state(zero3: SimpleNamespace) -> None:
    assert not [path for pattern in NOT_IN_FINAL for path in zero3.final.glob(pattern)]
    for name in ("config.json", "tokenizer.json", "preprocessor_config.json", "non_lora_trainables.bin"):
        assert (zero3.final / name).is_file()


def test_zero3_checkpoint_loads_merges_and_answers(zero3: SimpleNamespace, tmp_path: Path) -> None:
    base = zero3.job.base.path
    merged = merge_adapter(base, zero3.final, tmp_path / "merged")

    def answer(loaded: LoadedModel) -> list[int]:
        ids = torch.tensor([[1, *loaded.processor.blank_image().token_ids, 203, 298, 356]])
        pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        return loaded.model.generate(input_ids=ids, pixel_values=pixels, max_new_tokens=8, do_sample=False)[0].tolist()

    adapted = answer(load_model(base, zero3.final, "float32"))
    assert answer(load_model(merged.path, dtype="float32")) == adapted
    assert answer(load_model(base, dtype="float32")) != adapted


def test_zero3_does_not_resume_with_another_number_of_processes(zero3: SimpleNamespace, job_for: JobFor) -> None:
    rmtree(zero3.final)
    fewer = {**SETTINGS, **ONE_PROCESS, "deepspeed": "zero3"}
    with pytest.raises(TrainingError, match="resume with 2 processes"):
        train(job_for(zero3.job.out, resume=True, **fewer), lambda line: pytest.fail(line))


def test_zero2_reaches_the_losses_and_weights_of_one_process(
    job_for: JobFor, one_process: Path, tmp_path: Path
) -> None:
    job = job_for(tmp_path / "training", deepspeed="zero2", **SETTINGS, **TWO_PROCESSES)
    final = train(job, lambda line: None).path
    assert losses(final) == pytest.approx(losses(one_process), abs=1e-4)
    require_near(weights(final), weights(one_process))


def test_full_fine_tuning_with_zero3_saves_a_complete_model(job_for: JobFor, tmp_path: Path) -> None:
    settings = {**SETTINGS, **TWO_PROCESSES, "lora_enable": False, "learning_rate": 1e-3, "max_steps": 2}
    job = job_for(tmp_path / "training", deepspeed="zero3", **settings)
    tuned = load_model(train(job, lambda line: None).path, dtype="float32").model.state_dict()
    base = load_model(job.base.path, dtype="float32").model.state_dict()
    assert {name: value.shape for name, value in tuned.items()} == {name: v.shape for name, v in base.items()}
    moved = {name for name in base if not torch.equal(base[name], tuned[name])}
    assert moved == {name for name in base if "vision_tower" not in name}


@pytest.mark.skipif(not ORACLE.is_dir(), reason="golden values not present")
def test_original_layout_trains_the_same_in_one_and_two_processes(job_for: JobFor, tmp_path: Path) -> None:
    base = ModelRef(path=ORIGINAL, sha256=model_digest(ORIGINAL))
    settings = {"max_steps": 2, "per_device_train_batch_size": 2, "logging_steps": 1}
    one = job_for(tmp_path / "one", gradient_accumulation_steps=2, **settings)
    two = job_for(tmp_path / "two", deepspeed="zero3", nproc_per_node=2, **settings)
    found = [losses(train(job.model_copy(update={"base": base}), lambda line: None).path) for job in (one, two)]
    assert len(found[0]) == 2
    assert found[0] == pytest.approx(found[1], abs=1e-5)
