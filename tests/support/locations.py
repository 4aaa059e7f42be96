"""Paths that tests share: the repository, and data next to it that not every machine has."""

from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
SHARED = REPO.parent / "shared"
# results of the reference implementations
ORACLE = SHARED / "oracle"
# files of other projects, as they are published
FIELD = SHARED / "field"
# the user's own images and records
REAL = SHARED / "real"
GOLDEN = SHARED / "golden"
SUPPORT = Path(__file__).parent
