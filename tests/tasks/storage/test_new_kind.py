"""A new kind of store is one module and one entry in STORES: a toy one is added from outside the package."""

import sys
from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.storage.checkpoints.archiver import Archive
from tasks.storage.checkpoints.listing import list_checkpoints, pull_checkpoint
from tasks.storage.checkpoints.staging import stage_checkpoint
from tasks.storage.object_store import open_store
from tasks.store_kinds import STORES, StoreKind, store_pattern

# the one module of the new store
TOY_STORE = """
import hashlib

FILES = {}

class ToyStore:
    def __init__(self, name):
        self.name, self.uri = name, f"toy://{name}"

    def put_file(self, source, key, sha256=None):
        FILES[self.name, key] = source.read_bytes()
        return self.hash_of(key)

    def get_file(self, key, target, sha256):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(FILES[self.name, key])

    def hash_of(self, key):
        content = FILES.get((self.name, key))
        return None if content is None else hashlib.sha256(content).hexdigest()

    def sizes_below(self, folder):
        return {key: len(content) for (name, key), content in FILES.items()
                if name == self.name and key.startswith(f"{folder}/" if folder else "")}

    def read_text(self, key):
        content = FILES.get((self.name, key))
        return None if content is None else content.decode()

    def create_text(self, key, text):
        return FILES.setdefault((self.name, key), text.encode()) == text.encode()

    def copy_file(self, source, key, sha256):
        return False

    def read_tail(self, source, size_bytes):
        return None

    def versions_below(self, folder):
        return {}

    def drop_unfinished(self, folder):
        pass

    def delete(self, key):
        FILES.pop((self.name, key), None)

def open_toy(address, config, credentials):
    return ToyStore(address.netloc) if address.netloc else None
"""


@pytest.fixture
def toy_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module is importable, and STORES has its entry."""
    (tmp_path / "toy_store.py").write_text(TOY_STORE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(STORES, "toy", StoreKind("toy://name", r"toy://[a-z]+$", "toy_store:open_toy"))
    monkeypatch.delitem(sys.modules, "toy_store", raising=False)


def test_a_toy_store_archives_lists_and_returns_a_checkpoint(toy_kind: None, tmp_path: Path) -> None:
    checkpoint = tmp_path / "training" / "checkpoint-5"
    checkpoint.mkdir(parents=True)
    (checkpoint / "adapter_model.safetensors").write_text("weights")
    (checkpoint / "COMPLETE.json").write_text('{"step": 5, "files": {"adapter_model.safetensors": 7}}')
    stage_checkpoint(checkpoint, tmp_path / "training" / "staging")
    archive = Archive(tmp_path / "training" / "staging", open_store("toy://shelf"), "demo")
    assert archive.upload_staged().archived[5].uri == "toy://shelf/demo/checkpoints/checkpoint-5"
    assert [(each.run, each.step, each.whole) for each in list_checkpoints(open_store("toy://shelf"))] == [
        ("demo", 5, True)
    ]
    pulled = pull_checkpoint(open_store("toy://shelf"), tmp_path / "out")
    assert (pulled / "adapter_model.safetensors").read_text() == "weights"


def test_messages_and_settings_know_the_kind_from_its_entry(toy_kind: None) -> None:
    assert "toy://" in store_pattern()
    with pytest.raises(StoreError, match="give file:///folder or s3://bucket/prefix or toy://name"):
        open_store("toy://")
