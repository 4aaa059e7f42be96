"""Settings accept the forms that users of LLaVA and transformers write, and refuse invalid values."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.settings import DataConfig, ExperimentConfig, TrainingConfig


@pytest.mark.parametrize(
    ("written", "meant"),
    [("wandb", ("wandb",)), ("none", ()), (["none"], ()), (["wandb"], ("wandb",)), ([], ()), (("wandb",), ("wandb",))],
)
def test_report_to_accepts_the_forms_of_transformers(written: Any, meant: tuple[str, ...]) -> None:
    assert TrainingConfig.model_validate({"report_to": written}).report_to == meant


@pytest.mark.parametrize("written", ["tensorboard", ["wandb", "x"], 3, None])
def test_other_trackers_are_refused(written: Any) -> None:
    with pytest.raises(ValidationError, match="report_to"):
        TrainingConfig.model_validate({"report_to": written})


@pytest.mark.parametrize("shares", [{"train": 0, "test": 1}, {"train": 1, "test": 0}])
def test_shares_that_leave_a_set_empty_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        DataConfig.model_validate(shares)


def test_checkpoints_are_scored_only_on_a_validation_set() -> None:
    with pytest.raises(ValidationError, match="the validation set is empty: lower"):
        ExperimentConfig.model_validate({"archive": {"score_images": 8}, "data": {"train": 0.8, "test": 0.2}})
    ExperimentConfig.model_validate({"archive": {"score_images": 8}, "data": {"train": 0.7, "test": 0.2}})
