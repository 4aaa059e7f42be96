"""docs/parameters.md: every setting, from the models that check it.

python -m deployments.parameters_page
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tasks.files import write_text
from tasks.settings import ExperimentConfig
from tasks.sweeping.config import Range, SweepConfig

PAGE = Path(__file__).resolve().parents[1] / "docs" / "parameters.md"
HEAD = """# Every parameter

Written by `python -m deployments.parameters_page` from the settings themselves; a test compares it with them. The same
texts are those of the run form on a Prefect server.

In a YAML file the sections are keys. On the command line it is `--set section.name=value`, with the value as in YAML:
`--set data.sources=[NWPU,LR]`, `--set training.save_total_limit=null`. `rsvlm config PRESET` shows all values of a
preset; the defaults below are those of an empty file. A value out of bounds, or a name that is not here, is refused
before anything is done.
"""
TABLE = "\n| setting | values | default | what it is |\n|---|---|---|---|\n"
KINDS = {"boolean": "true, false", "integer": "whole number", "number": "number", "string": "text", "null": "null"}


def render_page() -> str:
    """The page: a table for each section of an experiment, and for sweeps."""
    sections = "".join(
        f"\n## {name}\n\n{field.description}\n{TABLE}{_table(_model(field.annotation), f'{name}.')}"
        for name, field in ExperimentConfig.model_fields.items()
    )
    sweeps = f"\n## Sweeps\n\n[sweeps.md](sweeps.md) shows a file of one.\n{TABLE}{_table(SweepConfig, '')}"
    ranges = f"\nA range, where `search` takes one:\n{TABLE}{_table(Range, '')}"
    return HEAD + sections + sweeps + ranges


def _table(model: type[BaseModel], prefix: str) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in _rows(model, prefix))


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    schema = model.model_json_schema()
    for name, field in schema["properties"].items():
        inner = model.model_fields[name].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _rows(inner, f"{prefix}{name}.")
            continue
        default = "needed" if name in schema.get("required", ()) else f"`{json.dumps(field['default'])}`"
        yield f"`{prefix}{name}`", _values(field, schema), default, field["description"].replace("|", "\\|")


def _values(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """What a field takes, in words: its choices, or its kinds."""
    found = field.get("anyOf", [field])
    return " or ".join(dict.fromkeys(_kind(kind, schema) for kind in found))


def _kind(kind: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in kind:
        return "range"
    if "const" in kind or "enum" in kind:
        return ", ".join(f"`{json.dumps(each).strip(chr(34))}`" for each in kind.get("enum", [kind.get("const")]))
    if kind["type"] == "array":
        return "list of values" if "anyOf" in kind["items"] else f"list of {_kind(kind['items'], schema)}"
    if kind["type"] == "object":
        return f"{_values(kind['additionalProperties'], schema)}, by name"
    return KINDS[kind["type"]]


def _model(annotation: Any) -> type[BaseModel]:
    assert issubclass(annotation, BaseModel)
    return annotation


if __name__ == "__main__":
    write_text(PAGE, render_page())
