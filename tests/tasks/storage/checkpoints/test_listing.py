"""Checkpoints are found from the store's root, a run or their own address, and are whole or not."""

from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.storage.checkpoints.listing import list_checkpoints, pull_checkpoint, verify_checkpoints
from tasks.storage.folder_upload import archive_folder
from tasks.storage.local_store import LocalStore
from tasks.storage.object_store import ObjectStore, open_store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with steps 5, 10 and 200 of run "a" and step 5 of run "b"."""
    store = LocalStore(tmp_path / "store")
    for run, step in (("a", 5), ("a", 10), ("a", 200), ("b", 5)):
        folder = tmp_path / run / str(step)
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_text(f"{run} {step}")
        (folder / "COMPLETE.json").write_text("{}")
        archive_folder(folder, store, f"{run}/checkpoints/checkpoint-{step}")
    return store.root


def at(folder: Path) -> ObjectStore:
    return open_store(folder.as_uri())


def found(folder: Path) -> list[tuple[str, int]]:
    return [(checkpoint.run, checkpoint.step) for checkpoint in list_checkpoints(at(folder))]


def test_all_runs_are_listed_from_the_root(root: Path) -> None:
    assert found(root) == [("a", 5), ("a", 10), ("a", 200), ("b", 5)]


@pytest.mark.parametrize("below", ["a", "a/checkpoints"])
def test_a_run_is_listed_from_its_own_address(root: Path, below: str) -> None:
    assert found(root / below) == [("a", 5), ("a", 10), ("a", 200)]


def test_a_checkpoint_is_listed_from_its_own_address(root: Path) -> None:
    assert found(root / "a/checkpoints/checkpoint-10") == [("a", 10)]


def test_a_line_tells_address_files_and_bytes(root: Path) -> None:
    line = next(iter(list_checkpoints(at(root))))
    assert line.uri == (root / "a/checkpoints/checkpoint-5").as_uri()
    assert (line.files, line.bytes, line.whole) == (2, 5, True)


def test_without_a_manifest_there_is_no_checkpoint(root: Path) -> None:
    (root / "b/checkpoints/checkpoint-5/MANIFEST.json").unlink()
    assert found(root / "b") == []


def test_a_lost_file_is_seen_by_listing(root: Path) -> None:
    (root / "b/checkpoints/checkpoint-5/COMPLETE.json").unlink()
    assert [checkpoint.whole for checkpoint in list_checkpoints(at(root / "b"))] == [False]


def test_a_flipped_byte_is_seen_by_verifying_alone(root: Path) -> None:
    (root / "b/checkpoints/checkpoint-5/adapter_model.safetensors").write_text("b 6")
    assert [checkpoint.whole for checkpoint in list_checkpoints(at(root / "b"))] == [True]
    assert [checkpoint.whole for checkpoint in verify_checkpoints(at(root / "b"))] == [False]


def test_a_damaged_manifest_is_a_checkpoint_that_is_not_whole(root: Path) -> None:
    (root / "b/checkpoints/checkpoint-5/MANIFEST.json").write_text("{")
    assert [checkpoint.whole for checkpoint in verify_checkpoints(at(root / "b"))] == [False]


def test_the_newest_checkpoint_of_a_run_is_pulled(root: Path, tmp_path: Path) -> None:
    assert pull_checkpoint(at(root / "a"), tmp_path / "out") == tmp_path / "out" / "checkpoint-200"
    assert (tmp_path / "out/checkpoint-200/adapter_model.safetensors").read_text() == "a 200"


def test_the_newest_whole_checkpoint_is_pulled(root: Path, tmp_path: Path) -> None:
    (root / "a/checkpoints/checkpoint-200/COMPLETE.json").unlink()
    assert pull_checkpoint(at(root / "a"), tmp_path / "out").name == "checkpoint-10"


def test_one_checkpoint_is_pulled_by_its_address(root: Path, tmp_path: Path) -> None:
    address = root / "a/checkpoints/checkpoint-5"
    assert pull_checkpoint(at(address), tmp_path / "out").name == "checkpoint-5"


def test_pulling_from_several_runs_asks_for_one(root: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"several runs \(a, b\)"):
        pull_checkpoint(at(root), tmp_path / "out")


def test_pulling_from_nothing_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="no checkpoint below"):
        pull_checkpoint(at(tmp_path / "empty"), tmp_path / "out")
