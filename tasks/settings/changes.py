"""Change settings in the plain values of an experiment, as YAML has them."""

from collections.abc import Mapping
from typing import Any

from tasks.errors import ConfigError

# a section must not contain both the old and the new name of a field
OTHER_NAME = {"evaluation_strategy": "eval_strategy", "eval_strategy": "evaluation_strategy"}


def changed(values: Mapping[str, Mapping[str, object]], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The values of sections with changes by dotted path, or by section, of which the rest is kept."""
    found: dict[str, Any] = {section: dict(inner) for section, inner in values.items()}
    for path, value in changes.items():
        of_section = isinstance(value, Mapping) and path in found
        named = {f"{path}.{name}": inner for name, inner in value.items()} if of_section else {path: value}
        for name, inner in named.items():
            set_value(found, name, inner)
    return found


def set_value(values: dict[str, Any], path: str, value: object) -> None:
    """Set the value at a dotted path, such as training.lora_r; raises ConfigError if a part of it is not a section."""
    *sections, name = path.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{section} is a value, not a section.")
        values = inner
    values.pop(OTHER_NAME.get(name, ""), None)
    values[name] = value
