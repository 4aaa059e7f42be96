"""A configuration with some settings changed: what is not named is kept, and mistakes are one sentence."""

import pytest

from deployments.configuration import load_config
from tasks.errors import ConfigError

DEMO = load_config("demo")


def test_settings_are_changed_by_path_and_by_section_and_the_rest_is_kept() -> None:
    by_path = DEMO.with_(**{"training.lora_r": 16, "data.sources": ["LR"]})
    by_section = DEMO.with_(training={"lora_r": 16}, data={"sources": ("LR",)})
    assert by_path == by_section == load_config("demo", ["training.lora_r=16", "data.sources=[LR]"])
    assert by_path.training.learning_rate == DEMO.training.learning_rate and DEMO.training.lora_r == 64


def test_the_other_name_of_a_setting_replaces_it() -> None:
    assert DEMO.with_(**{"training.evaluation_strategy": "epoch"}).training.eval_strategy == "epoch"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"training.lora_rr": 16}, "training.lora_rr is not a setting: did you mean training.lora_r"),
        ({"training": {"lora_r": 0}}, "training.lora_r: "),
        ({"training.lora_r.x": 1}, "lora_r is a value, not a section"),
        ({"lora_r": 8}, "did you mean training.lora_r"),
    ],
)
def test_a_mistake_is_explained(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DEMO.with_(**settings)
