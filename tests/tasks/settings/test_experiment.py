"""Settings take what users of LLaVA and transformers write, and refuse what cannot work."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.settings import DataConfig, TrainingConfig


@pytest.mark.parametrize(
    ("written", "meant"),
    [("wandb", ("wandb",)), ("none", ()), (["none"], ()), (["wandb"], ("wandb",)), ([], ()), (("wandb",), ("wandb",))],
)
def test_reports_are_named_as_transformers_names_them(written: Any, meant: tuple[str, ...]) -> None:
    assert TrainingConfig.model_validate({"report_to": written}).report_to == meant


@pytest.mark.parametrize("written", ["tensorboard", ["wandb", "x"], 3, None])
def test_other_reports_are_refused(written: Any) -> None:
    with pytest.raises(ValidationError, match="report_to"):
        TrainingConfig.model_validate({"report_to": written})


@pytest.mark.parametrize("shares", [{"train": 0, "test": 1}, {"train": 1, "test": 0}])
def test_a_share_that_leaves_a_set_empty_is_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        DataConfig.model_validate(shares)
