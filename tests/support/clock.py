"""A clock for tests."""

import pytest


class Clock:
    """Seconds that pass only when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()
