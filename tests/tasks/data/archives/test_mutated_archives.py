"""The benchmark of mutated archives, with some of its mutations: refused or right, nothing left, memory bounded."""

import json
import subprocess
import sys

import pytest
from support.locations import REPO

PROGRAM = REPO / "tests" / "benchmarks" / "hostile_archives.py"
KINDS = ("zip", "tar", "tar of gnu", "tar.gz", "tar.bz2", "tar.xz", "tar.zst", "7z", "rar")
MUTATIONS = 60
MEMORY_MIB = 600


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_archive_is_refused_or_right_and_leaves_nothing(kind):
    command = [sys.executable, str(PROGRAM), kind, str(MUTATIONS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == 0, found["first_wrong"]
    assert found["refused"] + found["unpacked"] >= MUTATIONS - 1 and found["refused"]
    assert found["growth_mib"] < MEMORY_MIB
