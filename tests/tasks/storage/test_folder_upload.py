"""A folder in the store is complete or absent, and nothing in the store is overwritten."""

import json
from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.files import read_json
from tasks.manifests import write_manifest
from tasks.storage.folder_upload import archive_folder
from tasks.storage.local_store import LocalStore
from tasks.storage.remote_folders import damaged_files, pull_folder, read_remote_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "made" / "deep").mkdir(parents=True)
    (tmp_path / "made" / "one.txt").write_text("one")
    (tmp_path / "made" / "deep" / "two.txt").write_text("two")
    return tmp_path / "made"


def test_a_folder_is_archived_with_its_manifest(folder: Path, store: LocalStore) -> None:
    archived = archive_folder(folder, store, "run/merged")
    assert (archived.files, archived.size_bytes, archived.sent) == (2, 6, 2)
    assert set(store.sizes_below("")) == {
        "run/merged/MANIFEST.json",
        "run/merged/deep/two.txt",
        "run/merged/one.txt",
    }


def test_archiving_a_folder_twice_changes_nothing(folder: Path, store: LocalStore) -> None:
    first = archive_folder(folder, store, "run")
    assert archive_folder(folder, store, "run") == first.model_copy(update={"sent": 0})


def test_archive_folder_refuses_to_overwrite_other_content(folder: Path, store: LocalStore) -> None:
    archive_folder(folder, store, "run")
    (folder / "one.txt").write_text("eno")
    with pytest.raises(StoreError, match=r"one\.txt differ.*another name"):
        archive_folder(folder, store, "run")
    assert store.read_text("run/one.txt") == "one"


def test_archive_folder_refuses_a_manifest_of_another_program(folder: Path, store: LocalStore) -> None:
    store.create_text("run/MANIFEST.json", '{"made by": "somebody else"}')
    with pytest.raises(StoreError, match="not written by rsvlm"):
        archive_folder(folder, store, "run")
    assert list(store.sizes_below("")) == ["run/MANIFEST.json"]


def test_a_file_lost_in_the_store_is_sent_again(folder: Path, store: LocalStore) -> None:
    archive_folder(folder, store, "run")
    store.delete("run/one.txt")
    assert archive_folder(folder, store, "run").sent == 1
    manifest = read_remote_manifest(store, "run")
    assert manifest and damaged_files(store, "run", manifest) == []


def test_archive_folder_keeps_the_fingerprint_of_a_finished_folder(folder: Path, store: LocalStore) -> None:
    write_manifest(folder, "inputs and settings", {"run": "demo"})
    archive_folder(folder, store, "run")
    assert json.loads(store.read_text("run/MANIFEST.json") or "") == read_json(folder / "MANIFEST.json")


def test_a_finished_folder_that_changed_since_is_not_archived(folder: Path, store: LocalStore) -> None:
    write_manifest(folder, "inputs and settings")
    (folder / "one.txt").write_text("bit rot")
    with pytest.raises(StoreError, match="has changed since it was finished"):
        archive_folder(folder, store, "run")


def test_archive_folder_reports_a_missing_folder(tmp_path: Path, store: LocalStore) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        archive_folder(tmp_path / "nothing", store, "run")


def test_a_failed_upload_leaves_no_manifest(folder: Path, store: LocalStore) -> None:
    # a file is in the way of a folder
    store.create_text("run/deep", "in the way")
    with pytest.raises(StoreError, match="failed at"):
        archive_folder(folder, store, "run")
    assert read_remote_manifest(store, "run") is None


def test_pull_folder_returns_the_archived_files(folder: Path, store: LocalStore, tmp_path: Path) -> None:
    archive_folder(folder, store, "run")
    pull_folder(store, "run", tmp_path / "back")
    assert (tmp_path / "back" / "deep" / "two.txt").read_text() == "two"


def test_pull_folder_refuses_a_damaged_folder(folder: Path, store: LocalStore, tmp_path: Path) -> None:
    archive_folder(folder, store, "run")
    (store.root / "run" / "one.txt").write_text("eno")
    with pytest.raises(StoreError, match="damaged"):
        pull_folder(store, "run", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_pull_folder_overwrites_no_other_content(folder: Path, store: LocalStore, tmp_path: Path) -> None:
    archive_folder(folder, store, "run")
    (tmp_path / "back").mkdir()
    with pytest.raises(StoreError, match="something else"):
        pull_folder(store, "run", tmp_path / "back")


def test_pull_folder_replaces_a_damaged_copy(folder: Path, store: LocalStore, tmp_path: Path) -> None:
    archive_folder(folder, store, "run")
    pull_folder(store, "run", tmp_path / "back")
    (tmp_path / "back" / "one.txt").write_text("eno")
    pull_folder(store, "run", tmp_path / "back")
    assert (tmp_path / "back" / "one.txt").read_text() == "one"


def test_archive_folder_accepts_an_earlier_result_of_the_same_inputs(folder: Path, store: LocalStore) -> None:
    write_manifest(folder, "inputs and settings")
    first = archive_folder(folder, store, "run")
    (folder / "one.txt").write_text("one, in 3 seconds")
    write_manifest(folder, "inputs and settings")
    assert archive_folder(folder, store, "run") == first.model_copy(update={"sent": 0})


def test_a_folder_of_finished_folders_is_identified_by_their_fingerprints(folder: Path, store: LocalStore) -> None:
    write_manifest(folder / "deep", "inputs and settings")
    first = archive_folder(folder, store, "run")
    (folder / "deep" / "two.txt").write_text("two, in 3 seconds")
    write_manifest(folder / "deep", "inputs and settings")
    assert archive_folder(folder, store, "run").sha256 == first.sha256
    write_manifest(folder / "deep", "other settings")
    with pytest.raises(StoreError, match="already holds something else"):
        archive_folder(folder, store, "run")


def test_hidden_and_unfinished_files_are_not_archived(folder: Path, store: LocalStore) -> None:
    (folder / ".deep.key").touch()
    (folder / ".deep.1234.part").mkdir()
    (folder / ".deep.1234.part" / "half").touch()
    archive_folder(folder, store, "run")
    assert set(store.sizes_below("run")) == {"run/MANIFEST.json", "run/deep/two.txt", "run/one.txt"}


@pytest.mark.parametrize("name", ["../outside", "/etc/outside"])
def test_a_manifest_that_points_outside_its_folder_is_refused(name: str, store: LocalStore, tmp_path: Path) -> None:
    manifest = {"fingerprint": "x", "files": {name: {"size": 1, "sha256": "0" * 64}}}
    store.create_text("run/MANIFEST.json", json.dumps(manifest))
    with pytest.raises(StoreError, match="outside its folder"):
        pull_folder(store, "run", tmp_path / "back")
