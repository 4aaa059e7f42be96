"""Keys of all steps of the project: independent of locations, dependent on all code that decides the result."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from grimp import build_graph
from prefect import Task
from support.locations import REPO

from tasks.content_keys import content_of, path_of_module
from tasks.data.preparing import RawData
from tasks.inference.request import PredictionSpec
from tasks.orchestration.caching import KEPT, CacheKey, content_key
from tasks.records import CheckpointRef, DatasetRef, FolderRef, ModelRef, PredictionsRef, ReportContext, ReportRef
from tasks.settings import DataConfig, EvaluationConfig, InferenceConfig, MergingConfig, ModelConfig, TrainingConfig
from tasks.training.job import TrainingJob

TASKS = REPO / "tasks"
# modules of `tasks` that read, write and run, and decide no result
INFRASTRUCTURE = {
    f"tasks.{name}"
    for name in (
        *("choices", "content_keys", "durations", "errors", "files", "interrupting", "json_text", "known_digests"),
        *(
            "known_facts",
            "manifests",
            "paths",
            "pipe_lines",
            "processes",
            "progress",
            "records",
            "secret_addresses",
            "store_kinds",
        ),
        *("worker_lines", "yaml_text"),
    )
}
NOT_USED_BY_STEPS = [
    # the model card shows scores where `rsvlm merge` gets a report, which the step never has
    ("tasks.merging.model_card", "tasks.evaluation.metrics.registry"),
    # the curve of a run's log, which is no step's result
    ("tasks.training.loss_curve", "tasks.axes"),
    # for defaults and validation alone, and the values of settings are part of a key
    ("tasks.settings.data", "tasks.sources"),
    ("tasks.settings.custom_source", "tasks.sources"),
    ("tasks.settings.custom_source", "tasks.image_paths"),
]
HOMES = (Path("/home/first"), Path("/mnt/second/user"))


def steps() -> dict[str, Task[..., Any]]:
    """Every step of the project by its name."""
    modules = [f"tasks.{path.parent.name}.steps" for path in sorted(TASKS.glob("*/steps.py"))]
    values = [value for module in modules for value in vars(importlib.import_module(module)).values()]
    return {
        value.name: value for value in values if isinstance(value, Task) and isinstance(value.cache_key_fn, CacheKey)
    }


def parameters(home: Path) -> dict[str, dict[str, Any]]:
    """Parameters of every step, with the same content in every home."""
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
    contents: dict[str, dict[str, Any]] = {
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
            "dataset": dataset, "answers": answers, "audit": audit,
            "context": ReportContext(run="demo", checkpoints=(report,)),
            "config": EvaluationConfig(),
        },
        "view-few-images": {"dataset": dataset, "count": 1, "seed": 1},
        "view-validation": {"dataset": dataset},
    }  # fmt: skip
    locations = {"out": home / "out", "log": home / "log.txt", "run": str(home)}
    ignored = {name: work.cache_key_fn.ignore for name, work in steps().items()}
    return {name: {**values, **{key: locations[key] for key in ignored[name]}} for name, values in contents.items()}


def test_every_step_has_parameters_here() -> None:
    assert steps().keys() == parameters(HOMES[0]).keys()


@pytest.mark.parametrize("name", sorted(parameters(HOMES[0])))
def test_a_steps_key_is_the_same_in_two_homes_and_contains_no_path_of_either(name: str) -> None:
    work = steps()[name]
    assert isinstance(work.cache_key_fn, CacheKey)
    assert len({content_key(work, parameters(home)[name]) for home in HOMES}) == 1
    given = parameters(HOMES[0])[name]
    contents = {key: value for key, value in given.items() if key not in work.cache_key_fn.ignore}
    assert str(HOMES[0]) not in json.dumps(content_of(contents))


@pytest.mark.parametrize("name", sorted(parameters(HOMES[0])))
def test_a_steps_code_names_all_shared_modules_that_its_package_uses(name: str) -> None:
    work = steps()[name]
    assert isinstance(work.cache_key_fn, CacheKey)
    if KEPT in work.tags:
        assert not work.cache_key_fn.code
        return
    package = work.fn.__module__.rpartition(".")[0]
    graph = build_graph("tasks")
    for importer, imported in NOT_USED_BY_STEPS:
        graph.remove_import(importer=importer, imported=imported)
    inside = {module for module in graph.modules if module.startswith(f"{package}.")}
    reached = {module for each in inside for module in graph.find_upstream_modules(each)}
    shared = {module for module in reached if module.count(".") == 1 and path_of_module(module).is_file()}
    missing = shared - INFRASTRUCTURE - set(work.cache_key_fn.code)
    assert not missing, "add these to the step's `code`, or here to INFRASTRUCTURE if no result depends on them"


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
