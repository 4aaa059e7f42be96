"""Prefect's run form: the name comes first, and an optional setting is an empty field that its server takes."""

from typing import Any, Literal

import pytest
from prefect import Flow
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import ValidationError, validate
from pydantic import BaseModel, Field

from flows.decorators import flow
from tasks.records import FolderRef


class Inner(BaseModel):
    limit: int | None = Field(None, ge=1, description="Most of them.")
    folder: str | None = None
    kind: Literal["a", "b"] | None = None


class Settings(BaseModel):
    inner: Inner = Inner()
    rules: tuple[Inner, ...] = ()
    rate: float | None = 0.5


@flow(name="example", flow_run_name="example", not_in_form=("data",))
def example(settings: Settings, name: str = "", data: FolderRef | None = None, step: int | None = None) -> None:
    """Do nothing.

    Args:
        settings: The settings.
        name: The name.
        data: What a calling flow has made.
        step: One step.
    """


def form() -> dict[str, Any]:
    schema = parameter_schema(example)
    assert isinstance(example, Flow)
    return schema.model_dump_for_openapi()


def test_the_name_is_the_first_field_and_a_hidden_parameter_is_absent() -> None:
    positions = {name: field["position"] for name, field in form()["properties"].items()}
    assert positions == {"name": 0, "settings": 1, "step": 2}
    assert form()["required"] == ["settings"]


def test_an_optional_number_or_text_is_a_plain_field() -> None:
    fields = form()["definitions"]["Inner"]["properties"]
    assert fields["limit"] == {"type": "integer", "minimum": 1, "title": "Limit", "description": "Most of them."}
    assert fields["folder"] == {"type": "string", "title": "Folder"}


def test_no_alternative_is_shown_as_of_type_none() -> None:
    fields = form()["definitions"]["Inner"]["properties"]
    choice = {"title": "value", "enum": ["a", "b"], "type": "string"}
    assert fields["kind"]["anyOf"] == [choice, {"title": "none", "enum": [None]}]
    assert form()["properties"]["step"]["anyOf"] == [
        {"title": "value", "type": "integer"},
        {"title": "none", "enum": [None]},
    ]


@pytest.mark.parametrize("rate", [0.1, None])
@pytest.mark.parametrize("kind", ["a", None])
@pytest.mark.parametrize("limit", [3, None])
def test_the_server_takes_a_value_and_null(rate: float | None, kind: str | None, limit: int | None) -> None:
    inner = {"limit": limit, "folder": None, "kind": kind}
    given = {"settings": {"inner": inner, "rules": [inner], "rate": rate}, "step": None}
    validate(given, form(), raise_on_error=True)


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": "many"}, {"kind": "c"}])
def test_the_server_refuses_a_wrong_value(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validate({"settings": {"inner": wrong}}, form(), raise_on_error=True)


@pytest.mark.slow
def test_the_flow_is_called_with_all_of_its_parameters(prefect_server: object) -> None:
    assert list(example.parameters.properties) == ["settings", "name", "data", "step"]
    example(Settings(), "a", None, 3)
