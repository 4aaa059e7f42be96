"""Each content of a checkpoint has its own folder in the store, and equal files are sent once."""

import os
from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.files import read_json
from tasks.settings import ArchiveConfig
from tasks.storage.checkpoints.archiver import Archive
from tasks.storage.checkpoints.listing import list_checkpoints, pull_checkpoint, verify_checkpoints
from tasks.storage.checkpoints.paths import archive_checkpoint, checkpoint_paths
from tasks.storage.checkpoints.staging import FIX_KEY, stage_checkpoint
from tasks.storage.local_store import LocalStore


def checkpoint(place: Path, weights: str, tokenizer: str = "tokens") -> Path:
    place.mkdir(parents=True)
    (place / "adapter_model.safetensors").write_text(weights)
    (place / "optimizer.pt").write_text("states")
    (place / "tokenizer.json").write_text(tokenizer)
    sizes = '{"step": 5, "files": {"adapter_model.safetensors": 1, "optimizer.pt": 6, "tokenizer.json": 6}}'
    (place / "COMPLETE.json").write_text(sizes)
    return place


def names(store: LocalStore) -> list[str]:
    return [place.folder.rpartition("/")[2] for place in checkpoint_paths(store)]


def test_a_step_that_was_trained_again_gets_another_folder(tmp_path: Path, store: LocalStore) -> None:
    for number, weights in enumerate("abab"):
        archive_checkpoint(checkpoint(tmp_path / str(number), weights), store, "run", 5)
    assert names(store) == ["checkpoint-5", "checkpoint-5-2"]
    assert [line.step for line in list_checkpoints(store)] == [5, 5]


def test_pull_checkpoint_takes_the_one_trained_last(tmp_path: Path, store: LocalStore) -> None:
    for weights in "ab":
        archive_checkpoint(checkpoint(tmp_path / weights, weights), store, "run", 5)
    assert pull_checkpoint(store, tmp_path / "out") == tmp_path / "out" / "checkpoint-5"
    assert (tmp_path / "out" / "checkpoint-5" / "adapter_model.safetensors").read_text() == "b"


def test_a_folder_claimed_by_another_content_is_not_used(tmp_path: Path, store: LocalStore) -> None:
    store.create_text("run/checkpoints/checkpoint-5/.claim", "the digest of another one")
    archive_checkpoint(checkpoint(tmp_path / "a", "a"), store, "run", 5)
    assert names(store) == ["checkpoint-5-2"]
    assert list(store.sizes_below("run/checkpoints/checkpoint-5")) == ["run/checkpoints/checkpoint-5/.claim"]


class Interrupted(LocalStore):
    """A store to which another process archives a checkpoint right before the first weights are sent."""

    def __init__(self, root: Path, other: Path) -> None:
        super().__init__(root)
        self.others = [other]

    def put_file(self, source: Path, key: str, sha256: str | None = None) -> str:
        if source.suffix == ".safetensors" and self.others:
            archive_checkpoint(self.others.pop(), LocalStore(self.root), "run", 5)
        return super().put_file(source, key, sha256)


def test_checkpoints_of_two_runs_saved_at_the_same_time_are_never_mixed(tmp_path: Path) -> None:
    made = [checkpoint(tmp_path / weights, weights) for weights in "ab"]
    for place in made:
        # two files that are written at once may well get one time: clocks of file systems advance in steps
        os.utime(place / "COMPLETE.json", (1, 1))
    store = Interrupted(tmp_path / "store", made[1])
    archive_checkpoint(made[0], store, "run", 5)
    assert [line.whole for line in verify_checkpoints(store)] == [True, True]
    folders = ("checkpoint-5", "checkpoint-5-2")
    assert [store.read_text(f"run/checkpoints/{name}/adapter_model.safetensors") for name in folders] == ["a", "b"]


class Broken(LocalStore):
    """A store that accepts no manifest."""

    def create_text(self, key: str, text: str) -> bool:
        if key.endswith("/MANIFEST.json"):
            raise StoreError("the network is down")
        return super().create_text(key, text)


@pytest.mark.parametrize("can_write", [True, False])
def test_a_failed_upload_continues_in_the_folder_that_it_claimed(can_write: bool, tmp_path: Path) -> None:
    made, store = checkpoint(tmp_path / "a", "a"), LocalStore(tmp_path / "store")
    if not can_write:
        # root may write anywhere, but not a file where there is a folder
        (made / ".claim").mkdir()
    with pytest.raises(StoreError, match="the network is down"):
        archive_checkpoint(made, Broken(store.root), "run", 5)
    archive_checkpoint(made, store, "run", 5)
    assert names(store) == ["checkpoint-5"]
    assert [key for key in store.sizes_below("") if key.endswith(".claim")] == []


def test_a_claim_is_removed_when_its_checkpoint_is_stored(tmp_path: Path, store: LocalStore) -> None:
    archive_checkpoint(checkpoint(tmp_path / "a", "a"), store, "run", 5)
    assert [key for key in store.sizes_below("") if key.endswith(".claim")] == []


def test_equal_files_of_another_checkpoint_are_copied_inside_the_store(tmp_path: Path, store: LocalStore) -> None:
    archive_checkpoint(checkpoint(tmp_path / "a", "a"), store, "run", 5)
    second = archive_checkpoint(checkpoint(tmp_path / "b", "b"), store, "run", 10)
    # only the weights are others
    assert (second.files, second.sent) == (4, 1)


def test_a_damaged_file_is_sent_instead_of_copied(tmp_path: Path, store: LocalStore) -> None:
    archive_checkpoint(checkpoint(tmp_path / "a", "a"), store, "run", 5)
    (store.root / "run/checkpoints/checkpoint-5/tokenizer.json").write_text("rotten")
    assert archive_checkpoint(checkpoint(tmp_path / "b", "b"), store, "run", 10).sent == 2
    assert store.read_text("run/checkpoints/checkpoint-10/tokenizer.json") == "tokens"


def test_a_step_trained_again_while_the_first_waits_is_staged_separately(tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    for weights in "ab":
        stage_checkpoint(checkpoint(tmp_path / weights / "checkpoint-5", weights), staging)
    assert sorted(path.name for path in staging.iterdir()) == ["checkpoint-5", "checkpoint-5-2"]


def test_optimizer_states_off_leaves_them_out_of_the_store(tmp_path: Path, store: LocalStore) -> None:
    made = checkpoint(tmp_path / "training" / "checkpoint-5", "a")
    archive = Archive(tmp_path / "training" / "staging", store, "run", ArchiveConfig(optimizer_states=False))
    archive.recover()
    archive.upload_staged()
    pulled = pull_checkpoint(store, tmp_path / "out")
    assert not (pulled / "optimizer.pt").exists()
    assert set(read_json(pulled / "COMPLETE.json")["files"]) == {"adapter_model.safetensors", "tokenizer.json"}
    # the trainer's own folder is as it was, and is not archived once more
    assert "optimizer.pt" in read_json(made / "COMPLETE.json")["files"]
    archive.recover()
    assert list(archive.staging.iterdir()) == []


def test_recover_stages_a_complete_checkpoint(tmp_path: Path, store: LocalStore) -> None:
    checkpoint(tmp_path / "training" / "checkpoint-5", "a")
    archive = Archive(tmp_path / "training" / "staging", store, "run")
    archive.recover()
    assert list(archive.upload_staged().archived) == [5]


def test_a_failed_upload_is_noted_with_reason_and_command(tmp_path: Path, store: LocalStore) -> None:
    checkpoint(tmp_path / "run" / "training" / "checkpoint-5", "a")
    archive = Archive(tmp_path / "run" / "training" / "staging", store, "run")
    in_the_way = store.root / "run"
    in_the_way.parent.mkdir()
    in_the_way.write_text("no folder")
    archive.recover()
    archive.upload_staged()
    note = read_json(tmp_path / "run" / "training" / "archive" / "checkpoint-5.json")
    assert "failed at run/checkpoints/checkpoint-5" in note["why"]
    assert f"rsvlm checkpoints archive {tmp_path / 'run'}`" in note[FIX_KEY]
    in_the_way.unlink()
    archive.upload_staged()
    assert "uri" in read_json(tmp_path / "run" / "training" / "archive" / "checkpoint-5.json")
