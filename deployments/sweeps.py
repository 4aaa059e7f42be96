"""Read a sweep from a YAML file: the experiment and the search."""

from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from deployments.configuration import load_config, name_after, read_yaml
from tasks.errors import ConfigError
from tasks.settings import ExperimentConfig
from tasks.sweeping.config import Range, SweepConfig
from tasks.sweeping.search_space import require_searchable

PRESET, SET = "preset", "set"


def load_sweep(path: Path) -> tuple[ExperimentConfig, SweepConfig]:
    """Read a sweep: `preset`, a preset's name or a YAML file, `set`, a list of section.name=value, and the search.

    Raises ConfigError, in one sentence, for any error.
    """
    if not path.is_file():
        raise ConfigError(f"{path} is not a file: give the YAML file of a sweep.")
    values = read_yaml(path)
    preset = values.pop(PRESET, None)
    if not isinstance(preset, str):
        raise ConfigError(f"{path} names no experiment: write `preset: demo`, or the path of a YAML file.")
    overrides = values.pop(SET, [])
    if not isinstance(overrides, list):
        raise ConfigError(f"{path}: set must be a list such as [training.num_train_epochs=2].")
    config = load_config(preset, map(str, overrides))
    try:
        sweep = SweepConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from None
    require_searchable(config, sweep)
    return config, sweep


def name_of_sweep(path: Path) -> str:
    """A sweep's default name: that of its file."""
    return name_after(path.stem, None, None)


def _explain(error: ValidationError) -> str:
    """The first error as a sentence; for a searched setting, the error of the kind (list or range) that was meant."""
    errors = error.errors()
    found = next((each for each in errors if not _is_not_a_range(each)), errors[0])
    searched = found["loc"][:1] == ("search",)
    if _is_not_a_range(found):
        return f"search.{found['loc'][1]}: write a list of values, as [8, 16], or a range, as {{low: 1, high: 2}}."
    # the third part names the kind of value, not a field
    key = ".".join(str(part) for number, part in enumerate(found["loc"]) if not (searched and number == 2))
    if found["type"] == "extra_forbidden":
        known = list(Range.model_fields) if searched else [PRESET, SET, *SweepConfig.model_fields]
        return f"{key} is not a setting of a sweep: known settings: {', '.join(known)}."
    return f"{key or 'the sweep'}: {found['msg'].removeprefix('Value error, ')}."


def _is_not_a_range(error: ErrorDetails) -> bool:
    kind = str(error["loc"][2]) if len(error["loc"]) > 2 else ""
    return kind.startswith("tuple") or error["type"] == "model_type"
