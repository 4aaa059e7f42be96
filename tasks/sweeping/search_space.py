"""The search space of a sweep: which settings may be searched, the points of a grid, the experiment at a point."""

import difflib
import random
from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from tasks.errors import ConfigError
from tasks.files import digest_of
from tasks.settings import ExperimentConfig
from tasks.settings.experiment import without_store
from tasks.sweeping.config import Choice, Range, SweepConfig

# Only points that answer the same validation set in the same way can be compared.
SEARCHABLE = ("training", "model", "merging")
DIGITS = 6


def require_searchable(config: ExperimentConfig, sweep: SweepConfig) -> None:
    """Raise ConfigError for a search over unknown settings or invalid values."""
    for path, values in sweep.search.items():
        _field_of(path)
        for value in (values.low, values.high) if isinstance(values, Range) else values:
            _require_valid(path, _as_field(path, value))
    if sweep.pruning and config.training.eval_strategy == "no":
        raise ConfigError("pruning needs the validation loss: set training.eval_strategy to steps or epoch.")


def _require_valid(path: str, value: Choice) -> None:
    """Raise ConfigError for a value that its field rejects; conflicts with other settings are found at the point."""
    field = _field_of(path)
    kind: Any = Annotated[field.annotation, field]
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise ConfigError(f"search: {path}: {error.errors()[0]['msg']}; got {value!r}.") from None


def at_point(config: ExperimentConfig, values: Mapping[str, Choice]) -> ExperimentConfig:
    """The experiment with the values of a point; raises ConfigError if they conflict."""
    plain = config.as_plain()
    for path, value in values.items():
        section, name = path.split(".")
        plain[section][name] = value
    try:
        return ExperimentConfig.model_validate(plain)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"The point {describe_point(values)} is not a valid experiment: {message}.") from None


def name_of_point(sweep: str, config: ExperimentConfig) -> str:
    """The name of a point's run: equal settings have the same run, and share its results."""
    return f"{sweep}-{digest_of(without_store(config.as_plain()))[:8]}"


def describe_point(values: Mapping[str, Choice]) -> str:
    """The values of a point on one line."""
    return ", ".join(f"{path.split('.')[-1]} {format_value(value)}" for path, value in values.items())


def format_value(value: Choice) -> str:
    """A value for tables and logs; floats with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def is_integer(path: str) -> bool:
    """Whether a setting takes only integers."""
    annotation = _field_of(path).annotation
    kinds = {annotation, *get_args(annotation)}
    return int in kinds and float not in kinds


def grid_of(sweep: SweepConfig) -> list[dict[str, Choice]]:
    """All points of a grid, shuffled with the seed so that its first points are spread over it."""
    values = [_grid_values(path, found) for path, found in sweep.search.items()]
    points = [dict(zip(sweep.search, chosen, strict=True)) for chosen in product(*values)]
    random.Random(sweep.seed).shuffle(points)  # noqa: S311 - an order is no secret
    return points


def _grid_values(path: str, values: tuple[Choice, ...] | Range) -> list[Choice]:
    if not isinstance(values, Range):
        return list(values)
    shares = [number / (values.steps - 1) for number in range(values.steps)] if values.steps else []
    if values.log:
        found = [values.low * (values.high / values.low) ** share for share in shares]
    else:
        found = [values.low + (values.high - values.low) * share for share in shares]
    # rounded within the bounds, and each integer once
    inside = [min(max(float(f"{value:.{DIGITS}g}"), values.low), values.high) for value in found]
    return list(dict.fromkeys(_as_field(path, value) for value in inside))


def _as_field(path: str, value: Choice) -> Choice:
    return round(value) if is_integer(path) and isinstance(value, float) else value


def _field_of(path: str) -> FieldInfo:
    section, _, name = path.partition(".")
    if section not in SEARCHABLE:
        raise ConfigError(
            f"search: {path} cannot be searched: only settings of {', '.join(SEARCHABLE)} can, as training.lora_r, "
            "since all points must answer the same questions in the same way."
        )
    fields = _model_of(section).model_fields
    if name not in fields:
        close = difflib.get_close_matches(name, fields, n=1)
        hint = f"did you mean {section}.{close[0]}?" if close else f"{section} has {', '.join(fields)}."
        raise ConfigError(f"search: {path} is not a setting: {hint}")
    return fields[name]


def _model_of(section: str) -> type[BaseModel]:
    found = ExperimentConfig.model_fields[section].annotation
    assert isinstance(found, type) and issubclass(found, BaseModel)
    return found
