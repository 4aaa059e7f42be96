"""The cells of a table: how often something happened in simulated data sets, and how often it may."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np

SEED = 16
# A share is outside its bound if one at the bound would be as far outside in so few repetitions: tests must not fail by
# chance, while tables mark what is only probably outside.
RARE, PROBABLE = 0.001, 0.01


class Bound(NamedTuple):
    """The shares that are allowed."""

    low: float
    high: float


COVERS = Bound(0.93, 0.97)
ONE_SIDE = Bound(0, 0.025)
PAGE = Bound(0, 0.05)


class Cell(NamedTuple):
    """In `hits` of `draws` data sets it happened; `row` and `column` say where in the table."""

    row: str
    column: str
    hits: int
    draws: int
    bound: Bound

    @property
    def share(self) -> float:
        return self.hits / self.draws

    def is_outside(self, bound: Bound, chance: float = RARE) -> bool:
        """Whether the share is outside by more than the error of the simulation, which is binomial."""
        from scipy.stats import binom

        above = float(binom.sf(self.hits - 1, self.draws, bound.high))
        below = float(binom.cdf(self.hits, self.draws, bound.low))
        return min(above, below) < chance


class Case(NamedTuple):
    """One cell to simulate: `happens` draws a data set; None if it does not count."""

    row: str
    column: str
    bound: Bound
    happens: Callable[[np.random.Generator], bool | None]
    # of the number of data sets that the table asks for
    portion: float = 1.0


def simulate(cases: Iterable[Case], draws: int) -> list[Cell]:
    """The cells of a table; each has its own fixed seed, so that no cell depends on another."""
    return [_cell(case, max(1, round(draws * case.portion))) for case in cases]


def _cell(case: Case, draws: int) -> Cell:
    random = np.random.default_rng([SEED, crc32(f"{case.row}|{case.column}".encode())])
    found = [happened for _ in range(draws) if (happened := case.happens(random)) is not None]
    return Cell(case.row, case.column, sum(found), len(found), case.bound)


def markdown(cells: Sequence[Cell], limits: Callable[[Cell], Bound | None]) -> str:
    """A Markdown table of shares in per cent; known limits are in italics, other cells outside their bound are bold."""
    columns = list(dict.fromkeys(cell.column for cell in cells))
    at = {(cell.row, cell.column): cell for cell in cells}
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in dict.fromkeys(cell.row for cell in cells):
        texts = [_text(at.get((row, column)), limits) for column in columns]
        lines.append(f"| {row} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def _text(cell: Cell | None, limits: Callable[[Cell], Bound | None]) -> str:
    if cell is None:
        return ""
    text = f"{100 * cell.share:.1f}"
    if limits(cell) is not None:
        return f"*{text}*"
    return f"**{text}**" if cell.is_outside(cell.bound, PROBABLE) else text
