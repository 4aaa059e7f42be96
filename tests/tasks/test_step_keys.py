"""No step is known by a place: with equal content in two homes all keys are the same."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from prefect import Task

from tasks.data.preparing import RawData
from tasks.inference.request import PredictionSpec
from tasks.orchestration.caching import _content_of, _key_in_context, content_key
from tasks.records import CheckpointRef, DatasetRef, FolderRef, ModelRef, PredictionsRef, ReportRef
from tasks.settings import DataConfig, EvaluationConfig, InferenceConfig, MergingConfig, ModelConfig, TrainingConfig
from tasks.training.job import TrainingJob

TASKS = Path(__file__).parents[2] / "tasks"
HOMES = (Path("/home/first"), Path("/mnt/second/user"))


def steps() -> dict[str, Task[..., Any]]:
    """Every step of the project by its name."""
    modules = [f"tasks.{path.parent.name}.steps" for path in sorted(TASKS.glob("*/steps.py"))]
    values = [value for module in modules for value in vars(importlib.import_module(module)).values()]
    return {value.name: value for value in values if isinstance(value, Task) and value.cache_key_fn is _key_in_context}


def parameters(home: Path) -> dict[str, dict[str, Any]]:
    """What each step is given, of equal content, in a home."""
    dataset = DatasetRef(
        path=home / "sets", sha256="1", images=home / "imagenes", images_sha256="2", records={"train": 3}
    )
    base, checkpoint = (
        ModelRef(path=home / "base", sha256="4"),
        CheckpointRef(path=home / "final", sha256="5", run="demo", step=2),
    )
    answers = [PredictionsRef(path=home / name, sha256=name, model=name, answers=1) for name in ("final", "base")]
    raw = RawData(path=home, sha256="6", raw=home / "dataset.json", images=home / "imagenes")
    data = DataConfig(root=home, archives={"NWPU": f"{home}/a.zip"}, mirrors={"LR": f"file://{home}/lr"})
    spec = PredictionSpec(label="base", config=InferenceConfig(), subset_size=5)
    model = ModelConfig(base=str(home / "base"), vision_tower=str(home / "clip"))
    report = ReportRef(path=home / "checkpoint-1", sha256="7", model="checkpoint-1")
    audit = FolderRef(path=home / "audit", sha256="8")
    given: dict[str, dict[str, Any]] = {
        "draw-sample": {"config": data.sample},
        "draw-lessons": {"scenes": 1, "image_size": 64, "seed": 7},
        "prepare-sets": {"data": raw, "config": data},
        "count-tokens": {"dataset": dataset, "base": base},
        "audit-sets": {"dataset": dataset},
        "pretrain-toy-base": {"lessons": dataset},
        "train-adapter": {"base": base, "dataset": dataset, "model": model, "training": TrainingConfig()},
        "merge-adapter": {"base": base, "checkpoint": checkpoint, "config": MergingConfig()},
        "answer-subsets": {"model": base, "dataset": dataset, "spec": spec, "adapter": checkpoint},
        "evaluate-answers": {
            "dataset": dataset, "answers": answers, "audit": audit, "checkpoints": [report],
            "config": EvaluationConfig(),
        },
        "view-few-images": {"dataset": dataset, "count": 1, "seed": 1},
        "view-validation": {"dataset": dataset},
    }  # fmt: skip
    places = {"out": home / "out", "log": home / "log.txt", "run": str(home)}
    return {name: {**values, **places} for name, values in given.items()}


def test_every_step_is_tried() -> None:
    assert steps().keys() == parameters(HOMES[0]).keys()


@pytest.mark.parametrize("name", sorted(parameters(HOMES[0])))
def test_a_steps_key_is_the_same_in_two_homes_and_holds_no_path_of_either(name: str) -> None:
    work = steps()[name]
    assert len({content_key(work, parameters(home)[name]) for home in HOMES}) == 1
    given = {key: value for key, value in parameters(HOMES[0])[name].items() if key not in ("out", "log", "run")}
    assert str(HOMES[0]) not in json.dumps(_content_of(given))


def test_a_trainings_fingerprint_is_the_same_in_two_homes() -> None:
    orders = [
        TrainingJob(run="demo", out=home / "training", **{
            name: value
            for name, value in parameters(home)["train-adapter"].items()
            if name in ("base", "dataset", "model", "training")
        })
        for home in HOMES
    ]  # fmt: skip
    assert len({order.fingerprint for order in orders}) == 1
