"""Strict parsing of JSON from outside: NaN, huge numbers and deep nesting are refused with a reason."""

import json
from math import isfinite
from typing import Any, NoReturn

from tasks.errors import DataError

# deeper than any file of rsvlm or of a published model; recursive code may rely on it
MAX_LEVELS = 100
# an integer of this many digits is still in the range of a float
MAX_DIGITS = 300
TOO_DEEP = "more than {} levels of nesting"
CONTAINERS = (dict, list)


def parse_json(text: str | bytes, name: object, allow_nan: bool = False) -> Any:
    """The value of a JSON text; raises DataError, with `name` as the text's location, if `decode_json` refuses it."""
    try:
        return decode_json(text, allow_nan)
    except ValueError as error:
        raise DataError(
            f"{name} is not valid JSON ({error}): it is cut off or damaged; fetch or write it again."
        ) from None


def decode_json(text: str | bytes, allow_nan: bool = False) -> Any:
    """The value of a JSON text; raises ValueError, with the reason, if it is not valid.

    Numbers out of a float's range, nesting deeper than MAX_LEVELS and, unless `allow_nan`, NaN and Infinity are
    refused as well. If a key is repeated, its last value counts, as in Python's own parser.
    """
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    try:
        value = (WITH_NAN if allow_nan else STRICT).decode(text)
    except RecursionError:
        raise ValueError(TOO_DEEP.format(MAX_LEVELS)) from None
    require_shallow(value)
    return value


def require_shallow(value: object, max_levels: int = MAX_LEVELS) -> None:
    """Raise ValueError if lists and objects are nested more than `max_levels` deep."""
    level = [value] if isinstance(value, CONTAINERS) else []
    for _ in range(max_levels):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, CONTAINERS)
        ]
        if not level:
            return
    raise ValueError(TOO_DEEP.format(max_levels))


def _parse_int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _parse_float(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"a number out of range, {text[:20]}")
    return number


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


STRICT = json.JSONDecoder(parse_int=_parse_int, parse_float=_parse_float, parse_constant=_refuse_constant)
WITH_NAN = json.JSONDecoder(parse_int=_parse_int)
