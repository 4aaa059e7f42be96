"""Fixtures of the storage tests, and the table of faults that is printed at the end."""

import random
from pathlib import Path
from typing import Any

import pytest
from support.faulty_proxy import proxy
from support.s3_servers import keys, moto, radosgw, server, short_waits
from support.toy_runs import toy_runs

from tasks.storage.local_store import LocalStore

__all__ = ["keys", "moto", "proxy", "radosgw", "server", "short_waits", "toy_runs"]

# fault, times tried, checkpoints saved, checkpoints lost
ROWS: list[tuple[str, int, int, int]] = []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the faults tried and the checkpoints lost."""
    if ROWS:
        width = max(len(row[0]) for row in ROWS)
        terminalreporter.section("faults of the archive")
        terminalreporter.line(f"{'fault':{width}}  tried  checkpoints  lost")
        for name, tried, checkpoints, lost in ROWS:
            terminalreporter.line(f"{name:{width}}  {tried:5}  {checkpoints:11}  {lost:4}")
        total = [sum(row[column] for row in ROWS) for column in (1, 2, 3)]
        terminalreporter.line(f"{'all':{width}}  {total[0]:5}  {total[1]:11}  {total[2]:4}")


@pytest.fixture(scope="session")
def fault_rows() -> list[tuple[str, int, int, int]]:
    """Fault, times tried, checkpoints saved, checkpoints lost; printed at the end."""
    return ROWS


@pytest.fixture
def seeded() -> random.Random:
    """Draws the points at which faults are tried; the same ones each time."""
    return random.Random(28)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")
