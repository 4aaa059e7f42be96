"""The benchmarks: each measures two things in one run, so that its ratio means the same on every machine.

    python tests/benchmarks/run.py [NAME]...      all of them, or those named

A benchmark is a function from an empty folder to Rows; a new one is an entry in BENCHMARKS.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from data_stage import (
    audit_of_many,
    filtering_beside_loading,
    unpacking_beside_unzip,
    verifying_beside_decoding,
)
from evaluation import scoring_beside_pycocoevalcap
from rows import Row

BENCHMARKS: dict[str, Callable[[Path], list[Row]]] = {
    "unpacking": unpacking_beside_unzip,
    "verifying": verifying_beside_decoding,
    "filtering": filtering_beside_loading,
    "audit": audit_of_many,
    "evaluation": scoring_beside_pycocoevalcap,
}


def main() -> None:
    """Run the benchmarks and print their ratios."""
    parser = argparse.ArgumentParser(description="Run the benchmarks and print their ratios.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(BENCHMARKS)} (default: all)")
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        parser.error(f"there is no benchmark {unknown[0]}: choose from {', '.join(BENCHMARKS)}")
    rows: list[Row] = []
    for name in names:
        print(f"{name} ...", flush=True)
        with tempfile.TemporaryDirectory(prefix="rsvlm-bench-") as folder:
            rows += BENCHMARKS[name](Path(folder))
    print_table(rows)


def print_table(rows: list[Row]) -> None:
    """Print ratio, aim and whether it is met, a line each."""
    width = max(len(row.name) for row in rows)
    print(f"\n{'ratio of two measurements in this run':{width}}  {'ratio':>7}  {'aim':>7}")
    for row in rows:
        print(f"{row.name:{width}}  {row.ratio:7.2f}  {row.aim:>7}  {'met' if row.met else 'missed'}")


if __name__ == "__main__":
    main()
