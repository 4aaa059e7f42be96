"""The program that runs the benchmarks: every entry exists, and what its table says."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIND_ALL = """
from importlib import import_module
from run import BENCHMARKS
print(*(callable(getattr(import_module(module), function)) for module, function in BENCHMARKS.values()))
"""
PRINT_TABLE = """
from rows import Row
from run import table
print(table({"fast": [Row("fast", 1.2, "<= 1.5"), Row("fast", 3.0, "<= 1.5"), Row("fast", 1.4, "<= 1.5")],
             "slow": [Row("slow", 0.5, ">= 1")], "known": [Row("known", 2.0)]}))
"""


def printed_by(program: str) -> str:
    """What a program next to the benchmarks prints; they are scripts, and no package."""
    done = subprocess.run([sys.executable, "-c", program], cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_benchmark_exists() -> None:
    assert set(printed_by(FIND_ALL).split()) == {"True"}


def test_the_table_has_median_spread_and_aim() -> None:
    _, _, fast, slow, known = printed_by(PRINT_TABLE).splitlines()
    assert fast == "| fast | 1.40 | 1.20 to 3.00 | 3 | <= 1.5 | met |"
    assert slow == "| slow | 0.50 |  | 1 | >= 1 | missed |"
    assert known == "| known | 2.00 |  | 1 |  |  |"
