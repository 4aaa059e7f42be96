"""JSON from elsewhere: what Python's reader takes or stumbles over, and no file of ours may hold, is refused."""

import json
from math import isfinite
from typing import Any, NoReturn

from tasks.errors import DataError

# more than any file of rsvlm or of a published model has; whoever goes through values in a loop can count on it
MOST_LEVELS = 100
# a whole number of as many digits is still within the range of a float
MOST_DIGITS = 300
TOO_DEEP = "more than {} levels of nesting"
CONTAINERS = frozenset((dict, list))


def parse_json(text: str | bytes, name: object, allow_nan: bool = False) -> Any:
    """The value of a JSON text; raises DataError, with `name` for where it stands, when `decode_json` refuses it."""
    try:
        return decode_json(text, allow_nan)
    except ValueError as error:
        raise DataError(
            f"{name} is not valid JSON ({error}): it is cut off or damaged; fetch or write it again."
        ) from None


def decode_json(text: str | bytes, allow_nan: bool = False) -> Any:
    """The value of a JSON text; raises ValueError, with the reason, when it is not one.

    Refused as well: numbers that no float holds, nesting beyond MOST_LEVELS and, unless `allow_nan`, NaN and Infinity.
    Of a key that stands twice the last value counts, as everywhere in Python.
    """
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    try:
        value = (WITH_NAN if allow_nan else STRICT).decode(text)
    except RecursionError:
        raise ValueError(TOO_DEEP.format(MOST_LEVELS)) from None
    require_shallow(value)
    return value


def require_shallow(value: Any, most_levels: int = MOST_LEVELS) -> None:
    """Raise ValueError when lists and objects stand in each other more than `most_levels` deep."""
    level = [value] if type(value) in CONTAINERS else []
    for _ in range(most_levels):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in CONTAINERS
        ]
        if not level:
            return
    raise ValueError(TOO_DEEP.format(most_levels))


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _fraction(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"a number beyond all bounds, {text[:20]}")
    return number


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


STRICT = json.JSONDecoder(parse_int=_whole, parse_float=_fraction, parse_constant=_no_number)
WITH_NAN = json.JSONDecoder(parse_int=_whole)
