"""A training resumes from its newest complete checkpoint, on disk or in the store, or says why not."""

from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

import pytest

from tasks.errors import OccupiedError, TrainingError
from tasks.files import read_json
from tasks.manifests import write_manifest
from tasks.paths import COMPLETE, FINAL
from tasks.storage.checkpoints.paths import archive_checkpoint
from tasks.storage.local_store import LocalStore
from tasks.training.job import TrainingJob
from tasks.training.resuming import fetch_newer, newest_checkpoint
from tasks.training.saved_checkpoints import complete_checkpoints, mark_complete

JobFor = Callable[..., TrainingJob]
STATES = {"optimizer.pt": "moments", "scheduler.pt": "rates"}


def checkpoint(job: TrainingJob, step: int, states: dict[str, str] = STATES) -> Path:
    """A complete checkpoint of a job, with a text in each file."""
    folder = job.out / f"checkpoint-{step}"
    for name, text in {"adapter_model.safetensors": f"weights {step}", **states}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    mark_complete(folder, step, job.fingerprint)
    return folder


def shards(step: int, processes: int) -> dict[str, str]:
    names = (f"global_step{step}/zero_pp_rank_{rank}_mp_rank_00_optim_states.pt" for rank in range(processes))
    return {**dict.fromkeys(names, "moments"), "latest": f"global_step{step}"}


def archived(job: TrainingJob, tmp_path: Path, *steps: int, states: dict[str, str] = STATES) -> LocalStore:
    """A store with checkpoints of a job as run `run`, and none left on disk."""
    store = LocalStore(tmp_path / "store")
    for step in steps:
        archive_checkpoint(checkpoint(job, step, states), store, "run", step)
    rmtree(job.out)
    return store


def test_newest_complete_checkpoint_is_resumed(job_for: JobFor, tmp_path: Path) -> None:
    job = job_for(tmp_path / "training", resume=True)
    for step in (2, 4, 10):
        checkpoint(job, step)
    (job.out / "checkpoint-10" / COMPLETE).unlink()
    assert newest_checkpoint(job) == job.out / "checkpoint-4"


def test_job_that_does_not_resume_starts_from_step_0(job_for: JobFor, tmp_path: Path) -> None:
    job = job_for(tmp_path / "training")
    checkpoint(job, 2)
    assert newest_checkpoint(job) is None


def test_checkpoint_of_other_settings_is_refused(job_for: JobFor, tmp_path: Path) -> None:
    checkpoint(job_for(tmp_path / "training", seed=99), 2)
    with pytest.raises(OccupiedError, match=r"trained with other data or settings: choose another --name"):
        newest_checkpoint(job_for(tmp_path / "training", resume=True))


def test_checkpoint_without_optimizer_state_is_refused(job_for: JobFor, tmp_path: Path) -> None:
    job = job_for(tmp_path / "training", resume=True)
    checkpoint(job, 2, {"scheduler.pt": "rates"})
    with pytest.raises(TrainingError, match=r"lacks optimizer\.pt"):
        newest_checkpoint(job)


@pytest.mark.parametrize(("processes", "accumulation"), [(4, 2), (2, 4), (1, 8)])
def test_without_deepspeed_any_number_of_processes_resumes(
    job_for: JobFor, tmp_path: Path, processes: int, accumulation: int
) -> None:
    made = job_for(tmp_path / "training", nproc_per_node=2, gradient_accumulation_steps=4)
    settings = {"nproc_per_node": processes, "gradient_accumulation_steps": accumulation}
    assert newest_checkpoint(job_for(made.out, resume=True, **settings)) is None
    checkpoint(made, 2)
    assert newest_checkpoint(job_for(made.out, resume=True, **settings)) == made.out / "checkpoint-2"


def test_more_samples_per_step_are_another_training(job_for: JobFor, tmp_path: Path) -> None:
    checkpoint(job_for(tmp_path / "training", nproc_per_node=2), 2)
    with pytest.raises(OccupiedError, match=r"trained with other data or settings: choose another --name"):
        newest_checkpoint(job_for(tmp_path / "training", resume=True, nproc_per_node=4))


def test_deepspeed_states_need_the_same_number_of_processes(job_for: JobFor, tmp_path: Path) -> None:
    made = job_for(tmp_path / "training", resume=True, deepspeed="zero3", nproc_per_node=2)
    place = checkpoint(made, 2, shards(2, 2))
    assert newest_checkpoint(made) == place
    fewer = job_for(made.out, resume=True, deepspeed="zero3", gradient_accumulation_steps=2)
    with pytest.raises(TrainingError, match="states of 2 processes, which 1 cannot load: resume with 2"):
        newest_checkpoint(fewer)


@pytest.mark.parametrize("states", [STATES, shards(4, 2)])
def test_newest_stored_checkpoint_is_fetched_if_nothing_is_on_disk(
    job_for: JobFor, tmp_path: Path, states: dict[str, str]
) -> None:
    job = job_for(tmp_path / "training", resume=True)
    store = archived(job, tmp_path, 2, 4, states=states)
    assert fetch_newer(job, store, ("run-of-another-name", "run")) == job.out / "checkpoint-4"
    assert complete_checkpoints(job.out) == [job.out / "checkpoint-4"]
    assert (job.out / "checkpoint-4" / "adapter_model.safetensors").read_text() == "weights 4"


@pytest.mark.parametrize(("local", "fetched"), [(3, True), (4, False), (5, False)])
def test_newer_checkpoint_is_fetched_from_the_store(job_for: JobFor, tmp_path: Path, local: int, fetched: bool) -> None:
    job = job_for(tmp_path / "training", resume=True)
    store = archived(job, tmp_path, 4)
    checkpoint(job, local)
    assert (fetch_newer(job, store, ("run",)) is not None) == fetched


def test_checkpoints_of_another_training_are_left_in_the_store(job_for: JobFor, tmp_path: Path) -> None:
    store = archived(job_for(tmp_path / "training", seed=99), tmp_path, 4)
    assert fetch_newer(job_for(tmp_path / "training", resume=True), store, ("run",)) is None


def test_stored_checkpoint_that_lost_a_file_is_skipped(job_for: JobFor, tmp_path: Path) -> None:
    job = job_for(tmp_path / "training", resume=True)
    store = archived(job, tmp_path, 2, 4)
    (store.root / "run" / "checkpoints" / "checkpoint-4" / "optimizer.pt").unlink()
    assert fetch_newer(job, store, ("run",)) == job.out / "checkpoint-2"


def test_archive_without_optimizer_state_is_refused_only_if_nothing_else_is_left(
    job_for: JobFor, tmp_path: Path
) -> None:
    job = job_for(tmp_path / "training", resume=True)
    store = archived(job, tmp_path, 4, states={})
    with pytest.raises(TrainingError, match=r"archive\.optimizer_states"):
        fetch_newer(job, store, ("run",))
    checkpoint(job, 2)
    assert fetch_newer(job, store, ("run",)) is None


def test_nothing_is_fetched_for_a_finished_training(job_for: JobFor, tmp_path: Path) -> None:
    job = job_for(tmp_path / "training", resume=True)
    store = archived(job, tmp_path, 4)
    (job.out / FINAL).mkdir(parents=True)
    write_manifest(job.out / FINAL, job.fingerprint)
    assert fetch_newer(job, store, ("run",)) is None
    assert read_json(job.out / FINAL / "MANIFEST.json")["fingerprint"] == job.fingerprint
