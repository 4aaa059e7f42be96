"""The errors of an experiment's settings, each in one sentence."""

import re
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ValidationError

from tasks.secret_addresses import scrubbed, without_secrets
from tasks.settings.experiment import ExperimentConfig
from tasks.settings.names import model_of, name_hint


def explain(error: ValidationError) -> str:
    """The first error of an ExperimentConfig in one sentence, without secrets."""
    first = error.errors()[0]
    location = [part for part in first["loc"] if not _is_kind(part)]
    path = ".".join(map(str, location))
    if first["type"] == "extra_forbidden":
        return _unknown(location, first["input"])
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


def _unknown(location: Sequence[int | str], value: object) -> str:
    """Refuse a setting that does not exist; of an unknown section, its first setting."""
    beside: list[str] = list(_model_at(location[:-1]).model_fields)
    path = ".".join(map(str, location))
    while isinstance(value, dict) and value:
        name, value = next(iter(value.items()))
        path, beside = f"{path}.{name}", []
    return f"{path} is not a setting: {name_hint(path, beside)}"


def _model_at(location: Iterable[int | str]) -> type[BaseModel]:
    model: type[BaseModel] = ExperimentConfig
    for part in location:
        if isinstance(part, str):
            model = model_of(model.model_fields[part])
    return model


def _is_kind(part: int | str) -> bool:
    """Whether a part of an error's location is the kind of value that pydantic tried, such as a list."""
    return isinstance(part, str) and re.fullmatch(r"(tuple|dict|list)\[.*\]|str", part) is not None
