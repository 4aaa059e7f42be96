"""Complete checkpoints are staged and archived; incomplete ones never are."""

from pathlib import Path
from shutil import rmtree

import pytest

from tasks.errors import ModelError, StoreError
from tasks.storage.checkpoints.archiver import Archive, StagingPass, archive_staged
from tasks.storage.checkpoints.listing import list_checkpoints
from tasks.storage.checkpoints.staging import clear_unfinished, stage_checkpoint
from tasks.storage.folder_upload import Archived
from tasks.storage.local_store import LocalStore


def write_checkpoint(training: Path, step: int, complete: bool = True) -> Path:
    checkpoint = training / f"checkpoint-{step}"
    (checkpoint / "optimizer").mkdir(parents=True)
    (checkpoint / "adapter_model.safetensors").write_bytes(b"%d" % step)
    (checkpoint / "optimizer" / "state.bin").write_bytes(b"state")
    if complete:
        (checkpoint / "COMPLETE.json").write_text("{}")
    return checkpoint


def sweep(staging: Path, store: LocalStore) -> StagingPass:
    return Archive(staging, store, "demo").upload_staged()


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    return tmp_path / "staging"


def test_a_staged_checkpoint_survives_deletion_by_the_trainer(tmp_path: Path, staging: Path, store: LocalStore) -> None:
    checkpoint = write_checkpoint(tmp_path, 5)
    stage_checkpoint(checkpoint, staging)
    rmtree(checkpoint)
    sweep(staging, store)
    assert [(found.step, found.whole) for found in list_checkpoints(store)] == [(5, True)]


def test_staging_links_instead_of_copying(tmp_path: Path, staging: Path) -> None:
    checkpoint = write_checkpoint(tmp_path, 5)
    staged = stage_checkpoint(checkpoint, staging)
    name = "adapter_model.safetensors"
    assert (staged / name).samefile(checkpoint / name)


def test_an_incomplete_checkpoint_is_not_staged(tmp_path: Path, staging: Path) -> None:
    with pytest.raises(ModelError, match=r"no COMPLETE\.json"):
        stage_checkpoint(write_checkpoint(tmp_path, 5, complete=False), staging)


def test_staging_twice_changes_nothing(tmp_path: Path, staging: Path) -> None:
    checkpoint = write_checkpoint(tmp_path, 5)
    assert stage_checkpoint(checkpoint, staging) == stage_checkpoint(checkpoint, staging)


def test_half_staged_links_of_a_killed_trainer_are_replaced(tmp_path: Path, staging: Path) -> None:
    (staging / ".checkpoint-5.part").mkdir(parents=True)
    (staging / ".checkpoint-5.part" / "rest").touch()
    assert not (stage_checkpoint(write_checkpoint(tmp_path, 5), staging) / "rest").exists()


def test_the_final_adapter_is_staged_under_its_step(tmp_path: Path, staging: Path) -> None:
    final = write_checkpoint(tmp_path, 5).rename(tmp_path / "final")
    assert stage_checkpoint(final, staging, step=7) == staging / "checkpoint-7"


def test_a_sweep_empties_staging(tmp_path: Path, staging: Path, store: LocalStore) -> None:
    for step in (5, 10):
        stage_checkpoint(write_checkpoint(tmp_path, step), staging)
    assert list(sweep(staging, store).archived) == [5, 10]
    assert list(staging.iterdir()) == []


def test_a_sweep_reports_an_incomplete_checkpoint(staging: Path, store: LocalStore) -> None:
    write_checkpoint(staging, 5, complete=False)
    result = sweep(staging, store)
    assert (result.incomplete, result.archived) == ([5], {})
    assert (staging / "checkpoint-5").is_dir()
    assert not store.root.exists()


def test_a_sweep_continues_after_a_failed_checkpoint(staging: Path, store: LocalStore) -> None:
    for step in (5, 10):
        write_checkpoint(staging, step)
    store.create_text("demo/checkpoints/checkpoint-5", "a file in the way")
    result = sweep(staging, store)
    assert (list(result.failed), list(result.archived)) == ([5], [10])


def test_a_failed_checkpoint_stays_in_staging(staging: Path, store: LocalStore) -> None:
    write_checkpoint(staging, 5)
    store.create_text("demo/checkpoints/checkpoint-5", "a file in the way")
    with pytest.raises(StoreError, match="checkpoint-5"):
        archive_staged(Archive(staging, store, "demo"))
    assert (staging / "checkpoint-5" / "COMPLETE.json").is_file()


def test_a_checkpoint_staged_again_after_archiving_is_accepted(
    tmp_path: Path, staging: Path, store: LocalStore
) -> None:
    checkpoint = write_checkpoint(tmp_path, 5)
    for _time in range(2):
        stage_checkpoint(checkpoint, staging)
        assert list(archive_staged(Archive(staging, store, "demo"))) == [5]


def test_on_archived_is_called_before_a_checkpoint_leaves_staging(staging: Path, store: LocalStore) -> None:
    write_checkpoint(staging, 5)
    seen = []

    def see(step: int, archived: Archived) -> None:
        seen.append((step, (staging / "checkpoint-5").exists()))

    Archive(staging, store, "demo", on_archived=see).upload_staged()
    assert seen == [(5, True)]


def test_clear_unfinished_removes_remains_of_a_kill(staging: Path) -> None:
    for name in (".checkpoint-5.part", ".checkpoint-5.archived"):
        (staging / name).mkdir(parents=True)
    clear_unfinished(staging)
    assert list(staging.iterdir()) == []


def test_a_sweep_of_an_empty_staging_folder_does_nothing(staging: Path, store: LocalStore) -> None:
    assert archive_staged(Archive(staging, store, "demo")) == {}
