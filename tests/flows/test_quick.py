"""The short form: six settings, the others from the preset."""

from typing import Any, get_type_hints

import pytest

from deployments.configuration import default_name, load_config
from flows.quick import _config, _name_of_run, quick_flow
from tasks.errors import ConfigError
from tasks.settings import TrainingConfig

DEMO = load_config("demo")
OFFERED: dict[str, Any] = {
    "data": "",
    "base": DEMO.model.base,
    "lora_r": DEMO.training.lora_r,
    "learning_rate": DEMO.training.learning_rate,
    "num_train_epochs": DEMO.training.num_train_epochs,
}


def test_the_offered_values_are_those_of_the_demo() -> None:
    assert _config(**OFFERED) == DEMO
    defaults = {name: field.get("default") for name, field in quick_flow.parameters.properties.items()}
    assert defaults == {"name": "", **OFFERED}


def test_the_values_replace_those_of_the_preset_and_alpha_follows_the_rank() -> None:
    config = _config("/data: a", "tiny-qwen", 16, 1e-3, 0.5)
    assert (str(config.data.root), config.model.base) == ("/data: a", "tiny-qwen")
    training = config.training
    assert (training.lora_r, training.lora_alpha) == (16, 16 * DEMO.training.lora_alpha / DEMO.training.lora_r)
    assert (training.learning_rate, training.num_train_epochs) == (1e-3, 0.5)
    assert training.save_steps == DEMO.training.save_steps


def test_a_run_has_the_name_that_the_command_line_gives() -> None:
    changed = {**OFFERED, "lora_r": 16, "num_train_epochs": 1}
    given = load_config("demo", ["training.lora_r=16", "training.lora_alpha=32", "training.num_train_epochs=1"])
    assert _name_of_run("mine", **OFFERED) == "mine"
    assert _name_of_run("", **OFFERED) == "demo"
    assert _name_of_run("", **changed) == default_name("demo", given) != "demo"


def test_a_wrong_value_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="this is a URL"):
        _config(**{**OFFERED, "base": "https://hub/model"})


@pytest.mark.parametrize("name", ["lora_r", "learning_rate", "num_train_epochs"])
def test_the_bounds_are_those_of_the_training(name: str) -> None:
    (bounds,) = get_type_hints(quick_flow.fn, include_extras=True)[name].__metadata__
    assert bounds.metadata == TrainingConfig.model_fields[name].metadata
