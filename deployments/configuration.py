"""Build an ExperimentConfig from a preset or YAML file and overrides."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from deployments.preset_files import PRESETS, preset_names
from tasks.errors import ConfigError
from tasks.files import digest_of
from tasks.secret_addresses import scrubbed
from tasks.settings import DataConfig, ExperimentConfig
from tasks.settings.changes import set_value
from tasks.settings.explaining import explain
from tasks.sources import require_known
from tasks.yaml_text import parse_yaml, read_yaml_file

NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


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
    names = preset_names()
    close = difflib.get_close_matches(preset_or_yaml, names, n=1)
    meant = f"did you mean {close[0]}? The presets are" if close else "choose one of"
    raise ConfigError(
        f"{preset_or_yaml} is neither a preset nor a YAML file: {meant} {', '.join(names)}, "
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
    try:
        value = parse_yaml(text)
    except ValueError:
        raise ConfigError(f"--set {scrubbed(override)}: the value is not valid YAML.") from None
    try:
        set_value(values, key, value)
    except ConfigError as error:
        raise ConfigError(f"--set {scrubbed(override)}: {error}") from None
