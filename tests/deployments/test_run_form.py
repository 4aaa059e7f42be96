"""The run form in Prefect's UI: each field has a description, bounds and choices."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import Field

from tasks.settings import ExperimentConfig, Section
from tasks.settings.base import BOUNDS


def form_fields() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of every section, as in the form."""
    for name, section in SECTIONS.items():
        yield from ((f"{name}.{field}", values) for field, values in section["properties"].items())


SCHEMA = ExperimentConfig.model_json_schema()
# a definition without properties is that of a field that takes any JSON
DEFINED = {name: section for name, section in SCHEMA["$defs"].items() if "properties" in section}
SECTIONS: dict[str, dict[str, Any]] = {"": SCHEMA, **DEFINED}
FIELDS = dict(form_fields())
# of the fields that are named for their unit
UNITS = {"_s": "second", "_h": "hour", "_mib": "MiB", "_steps": "step", "_tokens": "token", "max_length": "token"}
UNITS |= {"_lr": "learning rate", "_rate": "learning rate", "_epochs": "training set", "max_images": "images"}
REQUIRED = {f"{name}.{field}" for name, section in SECTIONS.items() for field in section.get("required", ())}


def test_every_setting_is_in_the_form() -> None:
    assert len(FIELDS) > 90


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_has_its_own_name_and_a_description(name: str) -> None:
    field = FIELDS[name]
    assert field["title"] == name.rpartition(".")[2]
    assert len(field["description"]) > 10 and field["description"].endswith(".")


@pytest.mark.parametrize("name", FIELDS)
def test_bounds_of_a_number_are_in_its_description(name: str) -> None:
    field = FIELDS[name]
    kinds = [field, *field.get("anyOf", ())]
    for bound in (kind[bound] for kind in kinds for bound in BOUNDS if bound in kind):
        assert f"{bound:.12g}" in field["description"]


@pytest.mark.parametrize("name", FIELDS)
def test_an_optional_field_says_what_empty_means(name: str) -> None:
    field = FIELDS[name]
    if {"type": "null"} in field.get("anyOf", ()) and name != "MergingConfig.push_to_hub":
        # in the form, an empty field has its default
        empty = "empty" if field["default"] is None else "0: "
        assert empty in field["description"].lower() or name.startswith("KeepRule")


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_names_its_unit(name: str) -> None:
    unit = next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")
    assert unit in FIELDS[name]["description"]


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_shows_its_default(name: str) -> None:
    # Prefect's form shows a default_factory as an empty value
    assert "default" in FIELDS[name] or name in REQUIRED


def test_only_names_and_types_of_the_users_own_sources_are_required() -> None:
    assert {"CustomSource.name", "QuestionPattern.type", "QuestionPattern.pattern"} == REQUIRED


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        ({"ge": 1, "le": 4}, "Rank. From 1 to 4."),
        ({"gt": 0, "lt": 1}, "Rank. Above 0 to below 1."),
        ({"gt": 0}, "Rank. Above 0."),
        ({"ge": 1}, "Rank. 1 or more."),
        ({"le": 131_072}, "Rank. At most 131072."),
        ({}, "Rank."),
    ],
)
def test_bounds_are_written_as_a_sentence(bounds: dict[str, Any], told: str) -> None:
    class Example(Section):
        rank: float | None = Field(None, description="Rank.", **bounds)

    assert Example.model_json_schema()["properties"]["rank"]["description"] == told
