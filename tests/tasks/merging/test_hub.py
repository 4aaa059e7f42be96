"""A hub that cannot be reached is said in one sentence; the hub itself is not asked here."""

import socket
from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.merging.hub import push_to_hub


def test_a_hub_that_cannot_be_reached_is_the_users_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "none")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(StoreError, match="cannot be pushed to me/model"):
            push_to_hub(tmp_path, "me/model", address)
