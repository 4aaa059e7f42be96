"""data.custom_sources from YAML, `--set` and the run form, and the errors of wrong ones."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from deployments.configuration import load_config
from tasks.errors import ConfigError
from tasks.settings import DataConfig, ExperimentConfig, without_locations

YAML = """
data:
  sources: [FLOOD, LR]
  custom_sources:
    - name: FLOOD
      task: vqa
      question_types: {flooded: is .* flooded, presence: flood}
      images: /somewhere/flood.zip
"""


def refusal(*overrides: str) -> str:
    with pytest.raises(ConfigError) as refused:
        load_config("demo", overrides)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_source_of_ones_own_is_read_from_yaml_and_may_be_chosen(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(YAML)
    data = load_config(str(tmp_path / "mine.yaml")).data
    [flood] = data.custom_sources
    assert data.custom_names == ("FLOOD",) and flood.source.folder == "FLOOD" and flood.source.task == "vqa"
    assert [kind for kind, _ in flood.patterns] == ["flooded", "presence"]
    assert flood.source.distribution.url_sets == (("/somewhere/flood.zip",),)


def test_the_written_configuration_has_the_same_sources(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(YAML)
    config = load_config(str(tmp_path / "mine.yaml"))
    (tmp_path / "again.yaml").write_text(config.as_yaml())
    assert load_config(str(tmp_path / "again.yaml")) == config


def test_a_source_of_ones_own_is_set_on_the_command_line() -> None:
    config = load_config(
        "demo",
        ["data.custom_sources=[{name: FLOOD, question_types: {a: b}, images: [a.zip, b.zip]}]", "data.sources=[FLOOD]"],
    )
    assert config.data.custom_sources[0].images == ("a.zip", "b.zip")


def test_an_empty_task_is_none() -> None:
    assert DataConfig(custom_sources=({"name": "A", "task": ""},)).custom_sources[0].task is None


@pytest.mark.parametrize("types", [{"a": "b"}, [{"type": "a", "pattern": "b"}]])
def test_the_schema_of_the_run_form_takes_the_same_values(types: Any) -> None:
    given = {"data": {"custom_sources": [{"name": "FLOOD", "question_types": types, "images": "https://host/a.zip"}]}}
    jsonschema.validate(given, ExperimentConfig.model_json_schema())
    for wrong in ({"name": "A/B"}, {"name": "A", "images": "https://me:secret@host/a.zip"}, {"name": "A", "x": 1}, {}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"data": {"custom_sources": [wrong]}}, ExperimentConfig.model_json_schema())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{name: LR}", "data.custom_sources.0.name: LR is the name of a built-in source or a reserved word"),
        ("{name: all}", "data.custom_sources.0.name: all is the name of"),
        ("{name: A/B}", "data.custom_sources.0.name: got 'A/B', which does not match: Name, the first folder"),
        ("{name: A, folder: B}", "data.custom_sources.0: folder B of A must be A or a folder below it."),
        ("{name: A, folder: A/../B}", "data.custom_sources.0: folder A/../B of A must be"),
        (
            "{name: A, question_types: {x: '('}}",
            "data.custom_sources.0.question_types: '(' is not a regular expression",
        ),
        (
            "{name: A, question_types: [{type: x, pattern: '('}]}",
            "data.custom_sources.0.question_types.0.pattern: '(' is not a regular expression",
        ),
        ("{name: A, task: describing}", "data.custom_sources.0.task: Input should be 'captioning'"),
        (
            "{name: A, image: x}",
            "data.custom_sources.0.image is not a setting: did you mean data.custom_sources.0.images?",
        ),
        ("{name: A, references: image}", "data.custom_sources.0.references: image cannot hold captions"),
        ("{task: vqa}", "data.custom_sources.0.name: Field required"),
        ("{name: A}, {name: A}", "data: custom_sources has two sources named A: rename one of them."),
    ],
)
def test_a_wrong_source_is_refused_in_one_sentence(source: str, message: str) -> None:
    assert refusal(f"data.custom_sources=[{source}]").startswith(message)


def test_a_secret_in_an_address_is_refused_and_not_shown() -> None:
    message = refusal("data.custom_sources=[{name: A, images: 'https://host/a.zip?token=abc'}]")
    assert "write '${NAME}' instead" in message and "abc" not in message


def test_an_unknown_source_is_refused_with_the_nearest_of_ones_own() -> None:
    message = refusal("data.custom_sources=[{name: FLOODNET}]", "data.sources=[FLOODNE]")
    assert message == "FLOODNE is not a known source: did you mean FLOODNET?"
    assert "or describe it in data.custom_sources." in refusal("data.sources=[XYZ]")
    assert refusal("data.image_root={NWPUX: /tmp}") == "NWPUX is not a known source: did you mean NWPU?"


def test_the_origin_of_images_is_a_location() -> None:
    given = [ExperimentConfig(data={"custom_sources": [{"name": "A", "images": images}]}) for images in ("a", "b")]  # type: ignore[arg-type]
    one, other = (without_locations(config.as_plain()) for config in given)
    assert one == other and one["data"]["custom_sources"][0]["name"] == "A"  # type: ignore[index]


def test_only_what_changes_records_is_content() -> None:
    def content(**values: Any) -> object:
        return DataConfig(custom_sources=({"name": "A", **values},)).content

    assert content() == content(images="a.zip")
    changes: list[dict[str, Any]] = [{"task": "vqa"}, {"references": "x"}, {"question_types": {"a": "b", "c": "d"}}]
    changes.append({"question_types": {"c": "d", "a": "b"}})
    assert len({str(content(**change)) for change in [{}, *changes]}) == 5
    assert DataConfig(image_root={"LR": Path("/x")}).content == DataConfig().content
    assert DataConfig(text_only="train").content != DataConfig().content
