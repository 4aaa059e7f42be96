"""A job's fingerprint covers what decides the trained weights, and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.files import write_text
from tasks.manifests import content_digest, write_manifest
from tasks.records import ModelRef
from tasks.settings import ModelConfig
from tasks.training.job import TrainingJob


@pytest.fixture
def job(job_for: Callable[..., TrainingJob], tmp_path: Path) -> TrainingJob:
    return job_for(tmp_path)


def with_training(job: TrainingJob, **settings: Any) -> TrainingJob:
    return job.model_copy(update={"training": job.training.model_copy(update=settings)})


@pytest.mark.parametrize(
    "settings",
    [{"lora_r": 8}, {"learning_rate": 1e-4}, {"seed": 4}, {"max_steps": 5}, {"bf16": True}, {"save_steps": 1}],
)
def test_training_settings_change_the_fingerprint(job: TrainingJob, settings: dict[str, Any]) -> None:
    assert with_training(job, **settings).fingerprint != job.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"base": ModelRef(path=Path("/base"), sha256="another")},
        {"model": ModelConfig(image_aspect_ratio="square")},
    ],
)
def test_base_and_image_handling_change_the_fingerprint(job: TrainingJob, changes: dict[str, Any]) -> None:
    assert job.model_copy(update=changes).fingerprint != job.fingerprint


@pytest.mark.parametrize("name", ["sha256", "images_sha256"])
def test_digests_of_sets_and_images_change_the_fingerprint(job: TrainingJob, name: str) -> None:
    dataset = job.dataset.model_copy(update={name: "another"})
    assert job.model_copy(update={"dataset": dataset}).fingerprint != job.fingerprint


@pytest.mark.parametrize(
    "settings",
    [
        {"report_to": ("wandb",)},
        {"run_timeout_h": 1.0},
        {"logging_steps": 9},
        {"dataloader_num_workers": 2},
        {"save_total_limit": 3},
    ],
)
def test_settings_without_effect_do_not_change_the_fingerprint(job: TrainingJob, settings: dict[str, Any]) -> None:
    assert with_training(job, **settings).fingerprint == job.fingerprint


def test_paths_and_names_do_not_change_the_fingerprint(job: TrainingJob) -> None:
    elsewhere = {"path": Path("/elsewhere")}
    other = job.model_copy(
        update={
            "run": "other",
            "out": Path("/out"),
            "staging": Path("/staging"),
            "resume": True,
            "base": job.base.model_copy(update=elsewhere),
            "dataset": job.dataset.model_copy(update={**elsewhere, "images": Path("/images")}),
        }
    )
    assert other.fingerprint == job.fingerprint


def test_path_of_the_base_does_not_change_the_fingerprint(job: TrainingJob) -> None:
    def based(base: str) -> TrainingJob:
        return job.model_copy(update={"model": job.model.model_copy(update={"base": base})})

    places = ("/home/a/llava", "/home/b/llava", "./llava", "../models/llava", "models/of/mine", "~/llava")
    assert len({based(place).fingerprint for place in places}) == 1
    assert based("tiny").fingerprint != based("llava-hf/llava-1.5-7b-hf").fingerprint


def with_sets(job: TrainingJob, folder: Path, **files: str) -> TrainingJob:
    """The job on the sets of a folder with these files and a manifest."""
    for name, text in files.items():
        write_text(folder / name.replace("__", "."), text)
    digest = content_digest(write_manifest(folder, "sets"))
    return job.model_copy(update={"dataset": job.dataset.model_copy(update={"path": folder, "sha256": digest})})


@pytest.mark.parametrize("name", ["statistics__json", "samples__html", "filtered_test__json"])
def test_file_next_to_the_sets_does_not_change_the_fingerprint(job: TrainingJob, tmp_path: Path, name: str) -> None:
    sets = {"data_train__json": "train", "data_val__json": "val"}
    one = with_sets(job, tmp_path / "one", **sets, **{name: "old"})
    other = with_sets(job, tmp_path / "other", **sets, **{name: "new"})
    assert one.dataset.sha256 != other.dataset.sha256
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("name", ["data_train__json", "data_val__json"])
def test_the_sets_change_the_fingerprint(job: TrainingJob, tmp_path: Path, name: str) -> None:
    sets = {"data_train__json": "train", "data_val__json": "val"}
    one = with_sets(job, tmp_path / "one", **sets)
    other = with_sets(job, tmp_path / "other", **{**sets, name: "new"})
    assert one.fingerprint != other.fingerprint


def test_fingerprints_of_earlier_versions_still_match(job: TrainingJob, tmp_path: Path) -> None:
    # they covered the base's directory, and all files in the folder of the sets
    model = job.model.model_copy(update={"base": "/home/a/llava"})
    job = with_sets(job.model_copy(update={"model": model}), tmp_path, data_train__json="train", samples__html="page")
    parts = [(job.model.content, job.dataset.sha256), (job.model.model_dump(mode="json"), job.dataset.sha256)]
    for earlier in (job._digest(*each) for each in parts):
        assert earlier != job.fingerprint and job.matches(earlier)
    assert not job.matches(None) and not job.matches("another")
