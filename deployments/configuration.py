"""Build an ExperimentConfig from a preset or YAML file and overrides."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tasks.errors import ConfigError
from tasks.files import digest_of
from tasks.secret_addresses import scrubbed, without_secrets
from tasks.settings import DataConfig, ExperimentConfig
from tasks.sources import require_known
from tasks.yaml_text import parse_yaml, read_yaml_file

PRESETS = Path(__file__).parent / "presets"
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


def preset_names() -> list[str]:
    """The names of all presets."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def load_config(preset_or_yaml: str, overrides: Iterable[str] = ()) -> ExperimentConfig:
    """Read a preset by name or a YAML file by path, and apply `a.b=value` overrides.

    Raises ConfigError, in one sentence, for an unknown preset, an unknown key or a value out of bounds.
    """
    values = read_yaml(_find(preset_or_yaml))
    for override in overrides:
        _apply(values, override)
    return _validated(values)


def data_config(preset_or_yaml: str | None = None, overrides: Iterable[str] = (), **values: object) -> DataConfig:
    """The data section of a preset or YAML file with overrides, and with some of its values replaced.

    Raises ConfigError for a wrong value.
    """
    given = read_yaml(_find(preset_or_yaml)) if preset_or_yaml else {}
    for override in overrides:
        _apply(given, override)
    section = given.get("data") or {}
    return _validated({**given, "data": {**section, **values} if isinstance(section, dict) else section}).data


def section_values(section: str, overrides: Iterable[str]) -> dict[str, object]:
    """The values that `section.name=value` overrides give to one section, unchecked; raises ConfigError for others."""
    values: dict[str, object] = {}
    for override in overrides:
        if not override.strip().startswith(f"{section}."):
            raise ConfigError(f"--set {scrubbed(override)}: only settings of the section {section} can be set here.")
        _apply(values, override)
    found = values.get(section, {})
    assert isinstance(found, dict)
    return found


def _validated(values: Mapping[str, object]) -> ExperimentConfig:
    try:
        config = ExperimentConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error)) from None
    data = config.data
    require_known([*data.sources, *data.image_root], data.unnamed_source, data.custom_names)
    return config


def default_name(preset_or_yaml: str, config: ExperimentConfig) -> str:
    """A run's default name: the preset's, with a digest of the settings appended if overrides change them."""
    return name_after(
        Path(preset_or_yaml).stem, config.of_first_machine().as_plain(), load_config(preset_or_yaml).as_plain()
    )


def name_after(origin: str, given: object, offered: object) -> str:
    """A name derived from `origin`, with a digest of the settings `given` appended if they differ from `offered`."""
    # a file name may contain characters that a run's name may not
    stem = NOT_IN_NAMES.sub("-", origin)[:80].strip("-._") or "experiment"
    return stem if given == offered else f"{stem}-{digest_of(given)[:8]}"


def _find(preset_or_yaml: str) -> Path:
    if preset_or_yaml in preset_names():
        return PRESETS / f"{preset_or_yaml}.yaml"
    path = Path(preset_or_yaml)
    if path.suffix.lower() in (".yaml", ".yml") and path.is_file():
        return path
    raise ConfigError(
        f"{preset_or_yaml} is neither a preset nor a YAML file: choose one of {', '.join(preset_names())}, "
        "or give the path of a .yaml file."
    )


def read_yaml(path: Path) -> dict[str, object]:
    """The values of a YAML file of sections; raises ConfigError."""
    values = read_yaml_file(path) or {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold sections such as `training:`, not a {type(values).__name__}.")
    return values


def _apply(values: dict[str, object], override: str) -> None:
    key, sign, text = override.partition("=")
    # accept "a.b = 1"; YAML ignores the space before the value
    key = key.strip()
    if not sign or not key:
        raise ConfigError(f"--set {override}: write it as section.name=value.")
    *sections, name = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: {section} is a value, not a section.")
        values = inner
    try:
        value = parse_yaml(text)
    except ValueError:
        raise ConfigError(f"--set {scrubbed(override)}: the value is not valid YAML.") from None
    # a section must not contain both the old and the new name of a field
    for alias, current in (("evaluation_strategy", "eval_strategy"), ("eval_strategy", "evaluation_strategy")):
        if name == alias:
            values.pop(current, None)
    values[name] = value


def explain(error: ValidationError) -> str:
    """The first error of an ExperimentConfig in one sentence, without secrets."""
    first = error.errors()[0]
    location = [part for part in first["loc"] if not _is_kind(part)]
    path = ".".join(map(str, location))
    if first["type"] == "extra_forbidden":
        known = list(_model_at(location[:-1]).model_fields)
        close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known settings: {', '.join(known)}."
        return f"{path} is not a setting: {hint}"
    if first["type"] == "value_error":
        # our own validators write a complete sentence; the input would be the whole section
        message = first["msg"].removeprefix("Value error, ")
        return f"{path}: {message}." if path else f"{message}."
    if first["type"] == "string_pattern_mismatch":
        # the description, not the pattern
        field = _model_at(location[:-1]).model_fields[str(location[-1])]
        return f"{path}: got {without_secrets(first['input'])!r}, which does not match: {field.description}"
    wanted = "Input should be a list, written [A,B]" if first["type"] == "tuple_type" else first["msg"]
    return f"{path}: {wanted}; got {scrubbed(repr(first['input']))}."


def _model_at(location: Iterable[int | str]) -> type[BaseModel]:
    model: type[BaseModel] = ExperimentConfig
    for part in location:
        if isinstance(part, str):
            model = model_of(model.model_fields[part])
    return model


def model_of(field: FieldInfo) -> type[BaseModel]:
    """The model of a field that is a section or a list of sections."""
    [model] = models_in(field.annotation)
    return model


def models_in(annotation: object) -> list[type[BaseModel]]:
    """The sections that a type names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def _is_kind(part: int | str) -> bool:
    """Whether a part of an error's location is the kind of value that pydantic tried, such as a list."""
    return isinstance(part, str) and re.fullmatch(r"(tuple|dict|list)\[.*\]|str", part) is not None
