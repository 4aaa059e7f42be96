"""Which settings may be searched, and the experiment at a point."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from deployments.sweeps import load_sweep
from tasks.errors import ConfigError
from tasks.files import write_text
from tasks.settings import ExperimentConfig
from tasks.sweeping.config import SweepConfig
from tasks.sweeping.search_space import at_point, grid_of, name_of_point, require_searchable

CONFIG = ExperimentConfig()


def sweep_of(search: dict[str, Any], **changes: Any) -> SweepConfig:
    return SweepConfig.model_validate({"search": search, **changes})


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"training.learning_rat": [1e-3]}, "did you mean training.learning_rate?"),
        ({"training.learning_rate": [1e-3, 7]}, "less than or equal to 1; got 7"),
        ({"training.lora_r": {"low": 0, "high": 8}}, "greater than or equal to 1; got 0"),
        ({"data.train": [0.5, 0.6]}, "cannot be searched: only settings of training, model, merging"),
        ({"lora_r": [8]}, "cannot be searched"),
    ],
)
def test_an_invalid_search_is_rejected_with_one_line(search: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        require_searchable(CONFIG, sweep_of(search))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_pruning_needs_a_validation_loss() -> None:
    with pytest.raises(ConfigError, match=r"training\.eval_strategy"):
        require_searchable(CONFIG, sweep_of({"training.lora_r": [8]}, pruning=True))


@pytest.mark.parametrize(
    "search",
    [
        {"training.lora_r": {"low": 8, "high": 8}},
        {"training.learning_rate": {"low": 0, "high": 1, "log": True}},
        {"training.lora_r": [8, 8]},
        {"training.lora_r": []},
        {},
    ],
)
def test_a_search_without_alternatives_is_rejected(search: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        sweep_of(search)


def test_a_grid_needs_a_number_of_values() -> None:
    with pytest.raises(ValidationError, match="needs steps"):
        sweep_of({"training.lora_r": {"low": 8, "high": 64}}, sampler="grid")


def test_a_grid_holds_every_combination_once() -> None:
    search = {
        "training.learning_rate": {"low": 1e-5, "high": 1e-3, "log": True, "steps": 3},
        "training.lora_r": {"low": 8, "high": 9, "steps": 5},
    }
    points = grid_of(sweep_of(search, sampler="grid"))
    found = sorted((point["training.learning_rate"], point["training.lora_r"]) for point in points)
    assert found == [(rate, rank) for rate in (1e-5, 1e-4, 1e-3) for rank in (8, 9)]


def test_a_point_is_the_run_of_its_settings() -> None:
    one, other = (at_point(CONFIG, {"training.lora_r": rank}) for rank in (8, 16))
    assert one.training.lora_r == 8
    assert name_of_point("sweep", one) == name_of_point("sweep", at_point(CONFIG, {"training.lora_r": 8}))
    assert name_of_point("sweep", one) != name_of_point("sweep", other)


def test_conflicting_values_are_reported_with_the_point() -> None:
    with pytest.raises(ConfigError, match=r"eval_answers 5 is not a valid experiment: .*set eval_strategy"):
        at_point(CONFIG, {"training.eval_answers": 5})


def test_a_sweep_is_read_from_a_file(tmp_path: Path) -> None:
    text = """
preset: demo
set: [training.num_train_epochs=2]
search:
  training.learning_rate: {low: 1e-4, high: 1e-2, log: true}
  training.lora_r: [8, 16]
points: 3
"""
    write_text(tmp_path / "sweep.yaml", text)
    config, sweep = load_sweep(tmp_path / "sweep.yaml")
    assert config.training.num_train_epochs == 2
    assert sweep.points == 3 and sweep.search["training.lora_r"] == (8, 16)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("search: {training.lora_r: [8]}", "names no experiment"),
        ("preset: demo\nsearch: {}", "search"),
        ("preset: demo\nsearch: {training.lora_r: [8]}\nsampler: best", "sampler"),
        (
            "preset: demo\npoint: 3\nsearch: {training.lora_r: [8]}",
            "point is not a setting of a sweep: known settings: .*points",
        ),
        (
            "preset: demo\nsearch: {training.lora_r: 8}",
            r"search\.training\.lora_r: write a list of values, as \[8, 16\]",
        ),
        ("preset: demo\nsearch: {training.lora_r: {low: 8}}", r"search\.training\.lora_r\.high: Field required\."),
        ("preset: demo\nsearch: {training.lora_r: {low: 8, high: 1}}", "low is 8, but must be below high, 1"),
        ("preset: demo\nset: 5\nsearch: {training.lora_r: [8]}", "set must be a list"),
    ],
)
def test_an_invalid_sweep_file_is_rejected_with_one_line(tmp_path: Path, text: str, message: str) -> None:
    write_text(tmp_path / "sweep.yaml", text)
    with pytest.raises(ConfigError, match=message):
        load_sweep(tmp_path / "sweep.yaml")
