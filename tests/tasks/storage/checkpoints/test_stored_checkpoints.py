"""A checkpoint comes from the store whole, without what only resuming needs, or not at all."""

from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.storage.checkpoints.stored_checkpoints import fetch_model, find_checkpoints
from tasks.storage.folder_upload import archive_folder
from tasks.storage.local_store import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "store")
    for name in ("checkpoint-20", "checkpoint-100", "checkpoint-20-2"):
        folder = tmp_path / name
        (folder / "global_step").mkdir(parents=True)
        for file in ("adapter_model.safetensors", "COMPLETE.json", "optimizer.pt", "global_step/rank_0.pt"):
            (folder / file).write_text(f"{file} of {name}")
        archive_folder(folder, store, f"demo/checkpoints/{name}")
    # another run, and what has no manifest
    store.create_text("other/checkpoints/checkpoint-7/MANIFEST.json", "{}")
    store.create_text("demo/checkpoints/checkpoint-300/adapter_model.safetensors", "half")
    return store


def test_checkpoints_are_found_by_step_and_of_a_step_that_was_trained_again_the_last(store: LocalStore) -> None:
    assert [each.name for each in find_checkpoints(store, "demo", None)] == ["checkpoint-20-2", "checkpoint-100"]
    assert [each.name for each in find_checkpoints(store, "demo", 100)] == ["checkpoint-100"]
    assert find_checkpoints(store, "demo", 300) == []


def test_what_only_resuming_needs_is_not_fetched(store: LocalStore, tmp_path: Path) -> None:
    (found,) = find_checkpoints(store, "demo", 100)
    fetched = fetch_model(store, "demo", found, tmp_path / "out")
    assert sorted(path.name for path in fetched.path.iterdir()) == ["COMPLETE.json", "adapter_model.safetensors"]
    assert (fetched.step, fetched.sha256) == (100, found.sha256)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("adapter_model.safetensors", None, r"lacks adapter_model\.safetensors"),
        # of the same size
        ("adapter_model.safetensors", "x" * 43, "is damaged"),
        # although it would not be fetched
        ("optimizer.pt", None, r"lacks optimizer\.pt"),
        ("MANIFEST.json", None, "was removed"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_refused_and_leaves_nothing(
    store: LocalStore, tmp_path: Path, file: str, content: str | None, said: str
) -> None:
    (found,) = find_checkpoints(store, "demo", 100)
    place = store.root / found.folder / file
    place.unlink() if content is None else place.write_text(content)
    with pytest.raises(StoreError, match=said):
        fetch_model(store, "demo", found, tmp_path / "out" / "checkpoint")
    assert list((tmp_path / "out").iterdir() if (tmp_path / "out").exists() else ()) == []
