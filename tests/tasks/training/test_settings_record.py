"""A checkpoint has its settings, and each one that differs is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import OccupiedError
from tasks.files import write_json
from tasks.model.checkpoint_origin import CheckpointOrigin, write_origin
from tasks.settings import ExperimentConfig
from tasks.training.job import TrainingJob
from tasks.training.saved_checkpoints import mark_complete
from tasks.training.settings_record import require_same_settings, settings_of, settings_of_job, trained_settings

BASE: dict[str, dict[str, Any]] = {
    "data": {"root": "/data", "seed": 1, "sources": ["LR", "NWPU"]},
    "model": {"base": "llava-hf/llava-1.5-7b-hf"},
    "training": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "lora_r": 8, "bf16": True},
}


def config(**changes: dict[str, Any]) -> ExperimentConfig:
    return ExperimentConfig.model_validate({name: {**BASE[name], **changes.get(name, {})} for name in BASE})


def trained(training: Path, settings: dict[str, dict[str, Any]]) -> Path:
    """A complete checkpoint of these settings."""
    folder = training / "checkpoint-2"
    folder.mkdir(parents=True)
    write_origin(folder, CheckpointOrigin("run", "toy", "job", "weights", "data", settings))
    mark_complete(folder, 2, "job")
    return folder


@pytest.mark.parametrize(
    ("section", "change", "said"),
    [
        ("training", {"per_device_train_batch_size": 8}, "training.per_device_train_batch_size was 4 and is 8"),
        ("training", {"learning_rate": 1e-3}, "training.learning_rate was 1e-05 and is 0.001"),
        ("training", {"bf16": False}, "training.bf16 was true and is false"),
        ("training", {"mm_projector_lr": None}, "training.mm_projector_lr was 2e-05 and is empty"),
        ("training", {"max_steps": 9}, "training.max_steps was -1 and is 9"),
        (
            "training",
            {"gradient_accumulation_steps": 4},
            "nnodes x nproc_per_node x gradient_accumulation_steps of training was 2 and is 4",
        ),
        ("model", {"image_aspect_ratio": "square"}, "model.image_aspect_ratio was pad and is square"),
        ("model", {"base": "/models/mine"}, "model.base was llava-hf/llava-1.5-7b-hf and is empty"),
        ("data", {"seed": 2}, "data.seed was 1 and is 2"),
        ("data", {"sources": ["LR"]}, "data.sources was ['LR', 'NWPU'] and is ['LR']"),
    ],
)
def test_differing_setting_is_named_with_both_values(
    tmp_path: Path, section: str, change: dict[str, Any], said: str
) -> None:
    folder = trained(tmp_path, settings_of(config()))
    with pytest.raises(OccupiedError) as refused:
        require_same_settings(tmp_path, config(**{section: change}))
    assert str(refused.value) == (
        f"{folder} was trained with other settings ({said}): choose another --name, or use the same settings again."
    )


def test_all_differing_settings_are_in_one_sentence(tmp_path: Path) -> None:
    trained(tmp_path, settings_of(config()))
    with pytest.raises(OccupiedError, match=r"\(data\.seed was 1 and is 2; training\.lora_r was 8 and is 16\)"):
        require_same_settings(tmp_path, config(data={"seed": 2}, training={"lora_r": 16}))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"data": {"root": "/moved"}},
        {"training": {"logging_steps": 50, "save_total_limit": 9, "dataloader_num_workers": 0}},
        {"training": {"gradient_accumulation_steps": 1, "nproc_per_node": 2}},
    ],
)
def test_settings_without_effect_may_differ(tmp_path: Path, change: dict[str, dict[str, Any]]) -> None:
    trained(tmp_path, settings_of(config()))
    require_same_settings(tmp_path, config(**change))


@pytest.mark.parametrize("told", [None, [], {}, {"settings": None}, {"settings": {"training": {"of_later": 1}}}])
def test_checkpoint_without_saved_settings_is_not_refused(tmp_path: Path, told: Any) -> None:
    folder = trained(tmp_path, {})
    write_json(folder / "origin.json", told)
    require_same_settings(tmp_path, config(data={"seed": 2}))
    require_same_settings(tmp_path / "nothing", config())


def test_settings_of_a_job_equal_those_of_its_experiment(
    job_for: Callable[..., TrainingJob], dataset: Any, tmp_path: Path
) -> None:
    asked = config(model={"base": "/a/directory"})
    job = job_for(tmp_path).model_copy(update={"model": asked.model, "training": asked.training})
    sets = tmp_path / "sets"
    write_json(sets / "data_train.manifest.json", {"parameters": asked.data.content})
    job = job.model_copy(update={"dataset": dataset.model_copy(update={"path": sets})})
    folder = trained(tmp_path / "training", settings_of_job(job))
    assert trained_settings(folder) == settings_of(asked)
