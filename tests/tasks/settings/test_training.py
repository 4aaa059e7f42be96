"""Parts of the model that are not trained, and combinations that leave nothing to train."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.settings import TrainingConfig


def test_fingerprints_have_frozen_parts_only_where_there_are_any() -> None:
    assert "freeze" not in TrainingConfig().content
    assert TrainingConfig(freeze=("projector",)).content["freeze"] == ["projector"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"freeze": ["language_model"]}, "set lora_enable to false"),
        ({"freeze": ["projector", "language_model"], "lora_enable": False}, "leaves nothing to train"),
        ({"freeze": ["vision_tower"], "unfreeze_mm_vision_tower": True}, "set one of them"),
    ],
)
def test_contrary_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainingConfig.model_validate(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"freeze": ["projector", "vision_tower"]},
        {"freeze": ["language_model"], "lora_enable": False},
        {"freeze": ["projector", "language_model"], "lora_enable": False, "unfreeze_mm_vision_tower": True},
    ],
)
def test_something_is_left_to_train(settings: dict[str, Any]) -> None:
    assert TrainingConfig.model_validate(settings).freeze == tuple(settings["freeze"])
