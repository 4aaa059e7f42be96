"""What a benchmark yields."""

from typing import NamedTuple


class Row(NamedTuple):
    """One figure of a benchmark: a ratio of two measurements of one run, and the bound it aims at, e.g. "<= 3".

    Without a bound it is there to be known.
    """

    name: str
    ratio: float
    aim: str = ""

    @property
    def verdict(self) -> str:
        if not self.aim:
            return ""
        sign, bound = self.aim.split()
        met = self.ratio <= float(bound) if sign == "<=" else self.ratio >= float(bound)
        return "met" if met else "missed"
