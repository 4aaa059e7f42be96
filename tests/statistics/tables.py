"""Print the simulated tables of all intervals and verdicts in Markdown, with fixed seeds.

    python tests/statistics/tables.py [NAME]... [--draws SHARE]

All tables, or those named. The full number of data sets takes a quarter of an hour; --draws 0.1 takes a tenth of it.
"""

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from time import process_time
from typing import NamedTuple

import false_verdicts
import intervals_cover
import nights
import sweeps
from cells import Case, Cell, markdown, simulate
from known_limits import limit_of


class Table(NamedTuple):
    """`cells` takes the number of data sets in a cell: `full` for the printed table, `quick` in tests."""

    title: str
    cells: Callable[[int], list[Cell]]
    full: int
    quick: int


def _simulated(cases: Callable[[], Iterable[Case]]) -> Callable[[int], list[Cell]]:
    return lambda draws: simulate(cases(), draws)


TABLES = {
    "scores": Table(
        "95 % intervals of caption metrics that cover, by images", _simulated(intervals_cover.of_scores), 4000, 300
    ),
    "accuracy": Table(
        "95 % intervals of accuracy that cover, by images", _simulated(intervals_cover.of_accuracy), 1000, 60
    ),
    "paired": Table(
        "Paired test: false verdicts of each side, by images", _simulated(false_verdicts.of_paired_test), 4000, 120
    ),
    "gains": Table("Gains falsely shown, by images", _simulated(false_verdicts.of_gains), 4000, 120),
    "pages": Table("Pages with any false verdict, by images", _simulated(false_verdicts.of_pages), 1000, 100),
    "sweeps": Table("Sweeps of equal points with any verdict", _simulated(sweeps.of_equal_points), 800, 30),
    "nights": Table("Nights of equal quality with an alarm, by images", nights.equal_nights, 15, 1),
    "drift": Table("A loss of 0.3 CIDEr over 60 nights that is seen, by images", nights.drifts, 60, 8),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Print the simulated tables of all intervals and verdicts.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(TABLES)} (default: all)")
    parser.add_argument("--draws", type=float, default=1.0, metavar="SHARE", help="of the full number of data sets")
    chosen = parser.parse_args()
    for name in chosen.names or TABLES:
        table = TABLES[name]
        draws, start = max(1, round(table.full * chosen.draws)), process_time()
        text = markdown(table.cells(draws), partial(limit_of, name))
        print(
            f"\n**{table.title}**, in % ({name}, {draws} draws, {process_time() - start:.0f} s)\n\n{text}", flush=True
        )


if __name__ == "__main__":
    main()
