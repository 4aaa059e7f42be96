"""The simulated tables of intervals and verdicts, with the number of cells that are outside their bounds."""

import sys
from functools import partial
from pathlib import Path

from rows import Row


def levels_and_coverage(_folder: Path) -> list[Row]:
    """Print all tables of tests/statistics, and count the cells that are outside their bound or their known limit."""
    sys.path.append(str(Path(__file__).resolve().parents[1] / "statistics"))
    from cells import markdown
    from known_limits import limit_of
    from tables import TABLES

    rows = []
    for name, table in TABLES.items():
        cells = table.cells(table.full)
        print(f"\n**{table.title}**, in %\n\n{markdown(cells, partial(limit_of, name))}", flush=True)
        outside = sum(cell.is_outside(limit_of(name, cell) or cell.bound) for cell in cells)
        rows.append(Row(f"{table.title}: cells outside", outside, "<= 0"))
    return rows
