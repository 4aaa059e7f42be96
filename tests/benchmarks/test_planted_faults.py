"""Planted faults: what is changed in a file, and that every changed file is still Python."""

import ast
from functools import cache
from pathlib import Path

import pytest
from benchmarks import planted_faults

SOURCE = '''"""Ünïcode comes before what is changed."""
LIMIT = 3
def check(found, quiet=True):
    if found > LIMIT and not quiet:
        print("too many")
'''
CHANGED = {"LIMIT = 7", "quiet=False", "found >= LIMIT", "and  quiet", "not (found > LIMIT and not quiet)", "None"}


def test_comparisons_constants_conditions_and_calls_are_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planted_faults, "REPO", tmp_path)
    (tmp_path / "module.py").write_text(SOURCE, encoding="utf-8")
    planted = [fault.planted(SOURCE) for fault in planted_faults.faults_of(tmp_path / "module.py")]
    assert len(planted) == len(CHANGED)
    for text in CHANGED:
        assert sum(text in each for each in planted) >= 1, text
    for each in planted:
        ast.parse(each)


def test_faults_are_spread_over_the_folders_and_the_same_for_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    found_in = cache(lambda file, faults_of=planted_faults.faults_of: list(faults_of(file)))
    monkeypatch.setattr(planted_faults, "faults_of", found_in)
    faults = planted_faults.chosen(40, 28)
    assert faults == planted_faults.chosen(40, 28) != planted_faults.chosen(40, 29)
    assert len({fault.file.parent for fault in faults}) > 30
    for fault in faults:
        source = (planted_faults.REPO / fault.file).read_text(encoding="utf-8")
        ast.parse(fault.planted(source))
