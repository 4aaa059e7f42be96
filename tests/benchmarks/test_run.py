"""The program that runs the benchmarks: every entry exists, and what its table says."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The benchmarks' modules can be imported, as by the scripts that they are."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(HERE)
    yield
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(HERE)):
            del sys.modules[name]


def test_every_benchmark_exists(scripts: None) -> None:
    for module, function in import_module("run").BENCHMARKS.values():
        assert callable(getattr(import_module(module), function)), (module, function)


def test_the_table_has_median_spread_and_aim(scripts: None) -> None:
    row = import_module("rows").Row
    runs = {
        "fast": [row("fast", 1.2, "<= 1.5"), row("fast", 3.0, "<= 1.5"), row("fast", 1.4, "<= 1.5")],
        "slow": [row("slow", 0.5, ">= 1")],
        "known": [row("known", 2.0)],
    }
    _, _, fast, slow, known = import_module("run").table(runs).splitlines()
    assert fast == "| fast | 1.40 | 1.20 to 3.00 | 3 | <= 1.5 | met |"
    assert slow == "| slow | 0.50 |  | 1 | >= 1 | missed |"
    assert known == "| known | 2.00 |  | 1 |  |  |"
