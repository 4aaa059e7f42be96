"""A training's fingerprint is what decides its weights, and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.records import ModelRef
from tasks.settings import ModelConfig
from tasks.training.job import TrainingOrder


@pytest.fixture
def order(order_for: Callable[..., TrainingOrder], tmp_path: Path) -> TrainingOrder:
    return order_for(tmp_path)


def with_training(order: TrainingOrder, **settings: Any) -> TrainingOrder:
    return order.model_copy(update={"training": order.training.model_copy(update=settings)})


@pytest.mark.parametrize(
    "settings",
    [{"lora_r": 8}, {"learning_rate": 1e-4}, {"seed": 4}, {"max_steps": 5}, {"bf16": True}, {"save_steps": 1}],
)
def test_settings_of_the_training_change_it(order: TrainingOrder, settings: dict[str, Any]) -> None:
    assert with_training(order, **settings).fingerprint != order.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"base": ModelRef(path=Path("/base"), sha256="another")},
        {"model": ModelConfig(image_aspect_ratio="square")},
    ],
)
def test_base_and_image_handling_change_it(order: TrainingOrder, changes: dict[str, Any]) -> None:
    assert order.model_copy(update=changes).fingerprint != order.fingerprint


@pytest.mark.parametrize("name", ["sha256", "images_sha256"])
def test_sets_and_images_change_it(order: TrainingOrder, name: str) -> None:
    dataset = order.dataset.model_copy(update={name: "another"})
    assert order.model_copy(update={"dataset": dataset}).fingerprint != order.fingerprint


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
def test_settings_without_effect_on_the_weights_do_not_change_it(
    order: TrainingOrder, settings: dict[str, Any]
) -> None:
    assert with_training(order, **settings).fingerprint == order.fingerprint


def test_places_and_names_do_not_change_it(order: TrainingOrder) -> None:
    elsewhere = {"path": Path("/elsewhere")}
    other = order.model_copy(
        update={
            "run": "other",
            "out": Path("/out"),
            "staging": Path("/staging"),
            "resume": True,
            "base": order.base.model_copy(update=elsewhere),
            "dataset": order.dataset.model_copy(update={**elsewhere, "images": Path("/images")}),
        }
    )
    assert other.fingerprint == order.fingerprint


def test_where_the_base_model_stands_is_no_part_of_a_training(order: TrainingOrder) -> None:
    def based(base: str) -> TrainingOrder:
        return order.model_copy(update={"model": order.model.model_copy(update={"base": base})})

    places = ("/home/a/llava", "/home/b/llava", "./llava", "../models/llava", "models/of/mine", "~/llava")
    assert len({based(place).fingerprint for place in places}) == 1
    assert based("tiny").fingerprint != based("llava-hf/llava-1.5-7b-hf").fingerprint


def test_a_training_whose_fingerprint_still_holds_its_bases_directory_is_known(order: TrainingOrder) -> None:
    here = order.model_copy(update={"model": order.model.model_copy(update={"base": "/home/a/llava"})})
    before = here._digest(here.model.model_dump(mode="json"))
    assert before != here.fingerprint and here.is_of(before)
    assert not here.is_of(None) and not here.is_of("of another")
