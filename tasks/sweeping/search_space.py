"""The searched settings beside an experiment's: which may be searched, and the experiment at a point."""

import difflib
import random
from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from tasks.errors import ConfigError
from tasks.files import digest_of
from tasks.settings import ExperimentConfig
from tasks.sweeping.config import Range, SweepConfig

# All points answer one validation set in one way, or their answers could not be compared.
SEARCHABLE = ("training", "model", "merging")
DIGITS = 6


def require_searchable(config: ExperimentConfig, sweep: SweepConfig) -> None:
    """Raise ConfigError, in one sentence, for a search that no experiment could follow."""
    for path, values in sweep.search.items():
        _field_of(path)
        for value in (values.low, values.high) if isinstance(values, Range) else values:
            _require_possible(path, _as_field(path, value))
    if sweep.pruning and config.training.eval_strategy == "no":
        raise ConfigError("pruning needs the validation loss: set training.eval_strategy to steps or epoch.")


def _require_possible(path: str, value: Any) -> None:
    """Raise ConfigError for a value that its field refuses; what only other settings forbid is seen at the point."""
    field = _field_of(path)
    kind: Any = Annotated[field.annotation, field]
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise ConfigError(f"search: {path}: {error.errors()[0]['msg']}; got {value!r}.") from None


def at_point(config: ExperimentConfig, values: Mapping[str, Any]) -> ExperimentConfig:
    """The experiment with the values of a point; raises ConfigError where they do not go together."""
    plain = config.as_plain()
    for path, value in values.items():
        section, name = path.split(".")
        plain[section][name] = value
    try:
        return ExperimentConfig.model_validate(plain)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"The point {said(values)} is no experiment: {message}.") from None


def run_name(sweep: str, config: ExperimentConfig) -> str:
    """A point's name: the same settings are the same run, with all that it has made."""
    plain = config.as_plain()
    return f"{sweep}-{digest_of({name: plain[name] for name in plain if name not in ('archive', 'store')})[:8]}"


def said(values: Mapping[str, Any]) -> str:
    """A point's values in a line."""
    return ", ".join(f"{path.split('.')[-1]} {shown(value)}" for path, value in values.items())


def shown(value: Any) -> str:
    """A value as people write it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def is_whole_number(path: str) -> bool:
    """Whether a setting takes whole numbers only."""
    annotation = _field_of(path).annotation
    kinds = {annotation, *get_args(annotation)}
    return int in kinds and float not in kinds


def grid_of(sweep: SweepConfig) -> list[dict[str, Any]]:
    """All points of a grid in an order drawn by the seed, so that its first points are spread over it."""
    values = [_grid_values(path, found) for path, found in sweep.search.items()]
    points = [dict(zip(sweep.search, chosen, strict=True)) for chosen in product(*values)]
    random.Random(sweep.seed).shuffle(points)  # noqa: S311 - an order is no secret
    return points


def _grid_values(path: str, values: Any) -> list[Any]:
    if not isinstance(values, Range):
        return list(values)
    shares = [number / (values.steps - 1) for number in range(values.steps)] if values.steps else []
    if values.log:
        found = [values.low * (values.high / values.low) ** share for share in shares]
    else:
        found = [values.low + (values.high - values.low) * share for share in shares]
    # rounded within the bounds, and each whole number once
    inside = [min(max(float(f"{value:.{DIGITS}g}"), values.low), values.high) for value in found]
    return list(dict.fromkeys(_as_field(path, value) for value in inside))


def _as_field(path: str, value: Any) -> Any:
    return round(value) if is_whole_number(path) and isinstance(value, float) else value


def _field_of(path: str) -> Any:
    section, _, name = path.partition(".")
    if section not in SEARCHABLE:
        raise ConfigError(
            f"search: {path} cannot be searched: only settings of {', '.join(SEARCHABLE)}, as training.lora_r, for all "
            "points must be asked the same questions in the same way."
        )
    fields: Any = _model_of(section).model_fields
    if name not in fields:
        close = difflib.get_close_matches(name, fields, n=1)
        hint = f"did you mean {section}.{close[0]}?" if close else f"known there are {', '.join(fields)}."
        raise ConfigError(f"search: {path} is no setting: {hint}")
    return fields[name]


def _model_of(section: str) -> type[BaseModel]:
    found: Any = ExperimentConfig.model_fields[section].annotation
    model: type[BaseModel] = found
    return model
