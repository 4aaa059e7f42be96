"""What a benchmark yields."""

from typing import NamedTuple


class Row(NamedTuple):
    """One figure of a benchmark: a ratio of two measurements of one run, and the bound it aims at, e.g. "<= 3".

    Without a bound it is there to be known.
    """

    name: str
    ratio: float
    aim: str = ""


def verdict(ratio: float, aim: str) -> str:
    """Whether a ratio meets its aim; empty without one."""
    if not aim:
        return ""
    sign, bound = aim.split()
    met = ratio <= float(bound) if sign == "<=" else ratio >= float(bound)
    return "met" if met else "missed"
