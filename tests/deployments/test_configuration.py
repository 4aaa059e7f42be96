"""Configurations from presets, YAML files and overrides, and their errors."""

import re
from pathlib import Path

import pytest

from deployments.configuration import default_name, load_config, section_values
from deployments.preset_files import preset_lines, preset_names
from tasks.errors import ConfigError


def refusal(preset: str, *overrides: str) -> str:
    """The error message."""
    with pytest.raises(ConfigError) as refused:
        load_config(preset, overrides)
    message = str(refused.value)
    assert "\n" not in message
    return message


def write_yaml(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_yaml_file_is_read_by_its_path(tmp_path: Path):
    path = write_yaml(tmp_path / "mine.yaml", "training:\n  lora_r: 16\n")
    assert load_config(path).training.lora_r == 16


def test_a_command_for_one_section_takes_its_settings_and_no_others():
    assert section_values("inference", ["inference.top_p=0.5", " inference.batch_size=2"]) == {
        "top_p": 0.5,
        "batch_size": 2,
    }
    with pytest.raises(ConfigError, match="only settings of the section inference can be set here"):
        section_values("inference", ["inference.top_p=0.5", "training.lora_r=8"])


def test_an_empty_yaml_file_gives_the_defaults(tmp_path: Path):
    assert load_config(write_yaml(tmp_path / "empty.yaml", "")) == load_config(
        write_yaml(tmp_path / "other.yaml", "{}")
    )


def test_the_resolved_configuration_can_be_run_again(tmp_path: Path):
    config = load_config("demo", ["training.lora_r=8"])
    assert load_config(write_yaml(tmp_path / "again.yaml", config.as_yaml())) == config


def test_overrides_replace_values_and_the_last_one_wins():
    assert load_config("demo", ["training.lora_r=8", "training.lora_r=64"]).training.lora_r == 64


@pytest.mark.parametrize(
    ("override", "section", "name", "value"),
    [
        ("training.learning_rate=2.0e-4", "training", "learning_rate", 2e-4),
        ("training.learning_rate=2e-4", "training", "learning_rate", 2e-4),
        ("training.save_total_limit=null", "training", "save_total_limit", None),
        ("data.sources=[LR, DOTA]", "data", "sources", ("LR", "DOTA")),
        ("data.root=/some/folder", "data", "root", Path("/some/folder")),
        ("data.root=/with=sign", "data", "root", Path("/with=sign")),
        ("store.uri=s3://bucket/prefix", "store", "uri", "s3://bucket/prefix"),
        ("training.eval_strategy=no", "training", "eval_strategy", "no"),
        ("training.eval_strategy=steps", "training", "eval_strategy", "steps"),
        ("training.use_cpu=false", "training", "use_cpu", False),
        ("training.use_cpu=off", "training", "use_cpu", False),
    ],
)
def test_a_value_is_written_as_in_yaml(override: str, section: str, name: str, value: object):
    assert getattr(getattr(load_config("demo", [override]), section), name) == value


def test_no_is_read_as_a_word_from_a_file(tmp_path: Path):
    path = write_yaml(tmp_path / "mine.yaml", "training:\n  eval_strategy: no\n  bf16: false\n")
    assert load_config(path).training.eval_strategy == "no" and load_config(path).training.bf16 is False


def test_the_old_name_of_a_setting_is_accepted():
    config = load_config("llava-1.5-7b-lora", ["training.evaluation_strategy=epoch"])
    assert config.training.eval_strategy == "epoch"


def test_a_section_of_a_section_can_be_set():
    assert load_config("demo", ["data.sample.scenes=40"]).data.sample.scenes == 40


def test_an_unknown_preset_is_refused_with_the_known_ones():
    message = refusal("dmo")
    assert message.startswith("dmo is neither a preset nor a YAML file: did you mean demo?")
    assert "demo, llava-1.5-7b-full" in message


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("training.lora_rank=8", "training.lora_rank is not a setting: did you mean training.lora_r?"),
        ("lora_r=8", "lora_r is not a setting: did you mean training.lora_r?"),
        ("xyz.lora_r=8", "xyz.lora_r is not a setting: did you mean training.lora_r?"),
        ("trainin.seed=8", "trainin.seed is not a setting: did you mean training.seed?"),
        ("dat={}", "dat is not a setting: did you mean data?"),
        ("data.sample.scene=8", "data.sample.scene is not a setting: did you mean data.sample.scenes?"),
        ("seed=8", "seed is not a setting: did you mean data.seed, training.seed or inference.seed?"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest_one(override: str, hint: str):
    assert refusal("demo", override).startswith(hint)


def test_a_setting_that_is_like_no_other_is_refused_with_the_nearest_three_and_the_page():
    message = refusal("demo", "training.qqxyzzy=8")
    assert re.fullmatch(
        r"training\.qqxyzzy is not a setting: the nearest are (\S+), (\S+) and (\S+); "
        r"docs/parameters\.md describes all settings\.",
        message,
    )


def test_each_preset_has_one_line():
    lines = preset_lines()
    assert [line.split()[0] for line in lines] == preset_names()
    assert all(20 < len(line) < 140 for line in lines)
    assert lines[0].endswith("A complete experiment in minutes on two CPU cores: drawn sample data and a toy model")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("training.lora_r=0", "training.lora_r: Input should be greater than or equal to 1; got 0."),
        ("training.lora_r=many", "training.lora_r"),
        ("store.uri=ftp://somewhere", "store.uri"),
        ("training=3", "training"),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_its_name(override: str, told: str):
    message = refusal("demo", override)
    assert message.startswith(told) and "got" in message


def test_shares_that_add_up_to_more_than_one_are_refused():
    assert "lower one of them" in refusal("demo", "data.train=0.9", "data.test=0.2")


@pytest.mark.parametrize("override", ["training.lora_r", "=8", "training.lora_r:8"])
def test_an_override_without_sign_is_refused(override: str):
    assert refusal("demo", override) == f"--set {override}: write it as section.name=value."


def test_a_setting_below_a_value_is_refused():
    assert refusal("demo", "training.lora_r.x=1") == "--set training.lora_r.x=1: lora_r is a value, not a section."


def test_a_value_that_is_not_yaml_is_refused():
    assert refusal("demo", "data.sources=[LR") == "--set data.sources=[LR: the value is not valid YAML."


@pytest.mark.parametrize("text", ["training: [", "- a\n- b\n", "training:\n\tlora_r: 1\n"])
def test_a_file_that_is_not_a_configuration_is_refused_by_name(tmp_path: Path, text: str):
    path = write_yaml(tmp_path / "broken.yaml", text)
    assert path in refusal(path)


def test_a_run_is_named_after_its_preset_with_a_digest_of_its_overrides():
    assert default_name("demo", load_config("demo")) == "demo"
    changed = default_name("demo", load_config("demo", ["training.lora_r=8"]))
    assert changed.startswith("demo-") and changed != default_name("demo", load_config("demo", ["training.lora_r=4"]))


def test_every_setting_has_a_description():
    from tasks.settings import ExperimentConfig

    schema = ExperimentConfig.model_json_schema()
    models = [schema, *schema["$defs"].values()]
    bare = [
        name for model in models for name, field in model.get("properties", {}).items() if "description" not in field
    ]
    assert bare == []


def test_typical_search_ranges_are_in_the_descriptions():
    from tasks.settings import TrainingConfig

    descriptions = {name: field.description or "" for name, field in TrainingConfig.model_fields.items()}
    for name, search_range in (
        ("lora_r", "8 to 64"),
        ("num_train_epochs", "1 to 10"),
        ("gradient_accumulation_steps", "1 to 10"),
        ("learning_rate", "2e-5 to 4e-3"),
    ):
        assert f"Typical search range: {search_range}" in descriptions[name]


@pytest.mark.parametrize(
    "override",
    [
        "store.uri=s3://key:s3cret@bucket/p",
        "store.uri=s3://s3cret@bucket",
        "store.uri=s3://bucket/p?secret=s3cret",
        "store.uri=s3://bucket#s3cret",
        "store.endpoint_url=https://key:s3cret@host",
        "model.base=https://key:s3cret@host/x",
        "model.vision_tower=hf://key:s3cret@host/x",
        "training.deepspeed=https://key:s3cret@host",
        "data.archives.LR=[https://host/x?sig=s3cret]",
        "data.mirrors.LR=https:/key:s3cret@host/x.zip",
        "data.mirrors.LR=\thttps://key:s3cret@host/x.zip",
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(override: str):
    assert "s3cret" not in refusal("demo", override)
