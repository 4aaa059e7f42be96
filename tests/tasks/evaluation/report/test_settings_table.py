"""The settings of a training next to their defaults."""

from tasks.evaluation.report.settings_table import setting_rows
from tasks.settings import DataConfig, ModelConfig, TrainingConfig


def settings_of(**training: object) -> dict[str, dict[str, object]]:
    """Settings as a checkpoint records them."""
    return {
        "data": DataConfig().content,
        "model": ModelConfig(base="some/where/else").content,
        "training": TrainingConfig.model_validate(training).content,
    }


def test_settings_that_differ_from_their_defaults_are_known() -> None:
    rows = setting_rows(settings_of(lora_r=8, bf16=False))
    assert [(row.name, row.value, row.default) for row in rows if not row.is_default] == [
        ("training.lora_r", "8", "128"),
        ("training.bf16", "false", "true"),
    ]
    assert {"data.train", "model.image_aspect_ratio", "training.learning_rate"} <= {row.name for row in rows}


def test_a_directory_which_is_not_recorded_is_left_out() -> None:
    assert "model.base" not in {row.name for row in setting_rows(settings_of())}


def test_the_product_of_three_settings_has_a_name_that_says_so() -> None:
    rows = setting_rows(settings_of(gradient_accumulation_steps=3, nproc_per_node=2))
    assert [(row.name, row.value) for row in rows if not row.is_default] == [("micro-batches per optimizer step", "6")]


def test_settings_of_other_versions_are_shown_without_a_default_and_without_secrets() -> None:
    [row] = setting_rows({"old": {"place": "https://ana:secret@example.org/x"}})
    assert (row.name, row.default) == ("old.place", None) and "secret" not in row.value
