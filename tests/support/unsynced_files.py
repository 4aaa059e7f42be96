"""Files that tests write are not synced: only a power cut could tell, and a disk takes milliseconds for each."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def unsynced_files() -> Iterator[None]:
    """`os.fsync` checks the descriptor only, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)
        yield
