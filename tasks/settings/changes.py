"""Change single settings in plain values of an experiment."""

from collections.abc import Mapping, MutableMapping

from tasks.errors import ConfigError

# a section must not contain both the old and the new name of a field
ALIASES = {"evaluation_strategy": "eval_strategy", "eval_strategy": "evaluation_strategy"}


def set_value(values: MutableMapping[str, object], path: str, value: object) -> None:
    """Set the value at a dotted path, as training.lora_r; raises ConfigError below a value that is no section."""
    *sections, name = path.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, MutableMapping):
            raise ConfigError(f"{path}: {section} is a value, not a section.")
        values = inner
    if name in ALIASES:
        values.pop(ALIASES[name], None)
    values[name] = value


def set_values(values: MutableMapping[str, object], changes: Mapping[str, object]) -> None:
    """Set values by dotted path; a value that is a mapping changes what it names and keeps the rest of its section."""
    for path, value in changes.items():
        if isinstance(value, Mapping) and isinstance(values.get(path), Mapping):
            set_values(values, {f"{path}.{name}": inner for name, inner in value.items()})
        else:
            set_value(values, path, value)
