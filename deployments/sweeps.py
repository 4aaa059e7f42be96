"""A sweep from a YAML file: the experiment that it varies, and what is searched."""

from pathlib import Path

from pydantic import ValidationError

from deployments.configuration import load_config, read_yaml
from tasks.errors import ConfigError
from tasks.settings import ExperimentConfig
from tasks.sweeping.description import SweepConfig
from tasks.sweeping.space import require_searchable

PRESET, SET = "preset", "set"


def load_sweep(path: Path) -> tuple[ExperimentConfig, SweepConfig]:
    """Read a sweep: `preset`, a preset's name or a YAML file, `set`, a list of section.name=value, and the search.

    Raises ConfigError, in one sentence, for whatever is wrong.
    """
    if not path.is_file():
        raise ConfigError(f"{path} is no file: give the YAML file of a sweep.")
    values = read_yaml(path)
    if not isinstance(values.get(PRESET), str):
        raise ConfigError(f"{path} names no experiment: write `preset: demo`, or the path of a YAML file.")
    overrides = values.pop(SET, [])
    if not isinstance(overrides, list):
        raise ConfigError(f"{path}: set must be a list such as [training.num_train_epochs=2].")
    config = load_config(values.pop(PRESET), map(str, overrides))
    try:
        sweep = SweepConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the sweep"
        raise ConfigError(f"{path}: {place}: {first['msg'].removeprefix('Value error, ')}.") from None
    require_searchable(config, sweep)
    return config, sweep
