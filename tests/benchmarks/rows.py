"""What a benchmark yields."""

from typing import NamedTuple


class Row(NamedTuple):
    """One figure of a benchmark: a ratio of two measurements of one run, and the bound it aims at, e.g. "<= 3"."""

    name: str
    ratio: float
    aim: str

    @property
    def met(self) -> bool:
        sign, bound = self.aim.split()
        return self.ratio <= float(bound) if sign == "<=" else self.ratio >= float(bound)
