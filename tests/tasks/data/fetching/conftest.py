from collections.abc import Iterator

import pytest
from support.faulty_server import FaultyServer


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    """A faulty HTTP server."""
    running = FaultyServer()
    yield running
    running.close()
