"""Checkpoints are listed from the store's root, a run or their own address, verified, and downloaded."""

from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.storage.checkpoints.listing import (
    fetch_model,
    find_checkpoints,
    list_checkpoints,
    pull_checkpoint,
    verify_checkpoints,
)
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


def test_list_checkpoints_at_the_root_lists_all_runs(root: Path) -> None:
    assert found(root) == [("a", 5), ("a", 10), ("a", 200), ("b", 5)]


@pytest.mark.parametrize("below", ["a", "a/checkpoints"])
def test_list_checkpoints_at_a_run_lists_its_checkpoints(root: Path, below: str) -> None:
    assert found(root / below) == [("a", 5), ("a", 10), ("a", 200)]


def test_list_checkpoints_at_a_checkpoint_lists_it(root: Path) -> None:
    assert found(root / "a/checkpoints/checkpoint-10") == [("a", 10)]


def test_a_listed_checkpoint_has_address_files_and_bytes(root: Path) -> None:
    line = next(iter(list_checkpoints(at(root))))
    assert line.uri == (root / "a/checkpoints/checkpoint-5").as_uri()
    assert (line.files, line.bytes, line.whole) == (2, 5, True)


def test_a_folder_without_a_manifest_is_not_listed(root: Path) -> None:
    (root / "b/checkpoints/checkpoint-5/MANIFEST.json").unlink()
    assert found(root / "b") == []


def test_list_checkpoints_reports_a_missing_file(root: Path) -> None:
    (root / "b/checkpoints/checkpoint-5/COMPLETE.json").unlink()
    assert [checkpoint.whole for checkpoint in list_checkpoints(at(root / "b"))] == [False]


def test_only_verify_checkpoints_reports_a_changed_byte(root: Path) -> None:
    (root / "b/checkpoints/checkpoint-5/adapter_model.safetensors").write_text("b 6")
    assert [checkpoint.whole for checkpoint in list_checkpoints(at(root / "b"))] == [True]
    assert [checkpoint.whole for checkpoint in verify_checkpoints(at(root / "b"))] == [False]


def test_a_checkpoint_with_a_damaged_manifest_is_listed_as_incomplete(root: Path) -> None:
    (root / "b/checkpoints/checkpoint-5/MANIFEST.json").write_text("{")
    assert [checkpoint.whole for checkpoint in verify_checkpoints(at(root / "b"))] == [False]


def test_pull_checkpoint_takes_the_newest_of_a_run(root: Path, tmp_path: Path) -> None:
    assert pull_checkpoint(at(root / "a"), tmp_path / "out") == tmp_path / "out" / "checkpoint-200"
    assert (tmp_path / "out/checkpoint-200/adapter_model.safetensors").read_text() == "a 200"


def test_pull_checkpoint_skips_incomplete_checkpoints(root: Path, tmp_path: Path) -> None:
    (root / "a/checkpoints/checkpoint-200/COMPLETE.json").unlink()
    assert pull_checkpoint(at(root / "a"), tmp_path / "out").name == "checkpoint-10"


def test_pull_checkpoint_takes_one_by_its_address(root: Path, tmp_path: Path) -> None:
    address = root / "a/checkpoints/checkpoint-5"
    assert pull_checkpoint(at(address), tmp_path / "out").name == "checkpoint-5"


def test_pull_checkpoint_refuses_several_runs(root: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"several runs \(a, b\)"):
        pull_checkpoint(at(root), tmp_path / "out")


def test_pull_checkpoint_refuses_an_empty_store(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="no checkpoint below"):
        pull_checkpoint(at(tmp_path / "empty"), tmp_path / "out")


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "store")
    for name in ("checkpoint-20", "checkpoint-100", "checkpoint-20-2"):
        folder = tmp_path / name
        (folder / "global_step").mkdir(parents=True)
        for file in ("adapter_model.safetensors", "COMPLETE.json", "optimizer.pt", "global_step/rank_0.pt"):
            (folder / file).write_text(f"{file} of {name}")
        archive_folder(folder, store, f"demo/checkpoints/{name}")
    # another run, and a folder without a manifest
    store.create_text("other/checkpoints/checkpoint-7/MANIFEST.json", "{}")
    store.create_text("demo/checkpoints/checkpoint-300/adapter_model.safetensors", "half")
    return store


def test_find_checkpoints_takes_the_last_one_of_a_step_that_was_trained_again(store: LocalStore) -> None:
    assert [each.name for each in find_checkpoints(store, "demo", None)] == ["checkpoint-20-2", "checkpoint-100"]
    assert [each.name for each in find_checkpoints(store, "demo", 100)] == ["checkpoint-100"]
    assert find_checkpoints(store, "demo", 300) == []


def test_fetch_model_leaves_out_files_that_only_resuming_needs(store: LocalStore, tmp_path: Path) -> None:
    (found,) = find_checkpoints(store, "demo", 100)
    fetched = fetch_model(store, "demo", found, tmp_path / "out")
    assert sorted(path.name for path in fetched.path.iterdir()) == ["COMPLETE.json", "adapter_model.safetensors"]
    assert (fetched.step, fetched.sha256) == (100, found.sha256)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("adapter_model.safetensors", None, r"lacks adapter_model\.safetensors"),
        # content of the same size
        ("adapter_model.safetensors", "x" * 43, "is damaged"),
        # although it is not fetched
        ("optimizer.pt", None, r"lacks optimizer\.pt"),
        ("MANIFEST.json", None, "was removed or replaced"),
    ],
)
def test_fetch_model_refuses_an_incomplete_checkpoint_and_leaves_nothing(
    store: LocalStore, tmp_path: Path, file: str, content: str | None, message: str
) -> None:
    (found,) = find_checkpoints(store, "demo", 100)
    path = store.root / found.folder / file
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(StoreError, match=message):
        fetch_model(store, "demo", found, tmp_path / "out" / "checkpoint")
    assert list((tmp_path / "out").iterdir() if (tmp_path / "out").exists() else ()) == []
