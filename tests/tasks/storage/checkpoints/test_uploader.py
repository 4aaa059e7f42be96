"""The uploader archives checkpoints with or without notifications and reports those that it could not archive."""

from pathlib import Path
from queue import Queue

import pytest

from tasks.errors import StoreError
from tasks.storage.checkpoints.archiver import Archive
from tasks.storage.checkpoints.staging import stage_checkpoint
from tasks.storage.checkpoints.uploader import Uploader
from tasks.storage.folder_upload import Archived
from tasks.storage.local_store import LocalStore

PATIENCE_S = 60


def checkpoint(folder: Path, step: int) -> Path:
    place = folder / f"checkpoint-{step}"
    place.mkdir(parents=True)
    (place / "adapter_model.safetensors").write_bytes(b"%d" % step)
    (place / "COMPLETE.json").write_text("{}")
    return place


class Watched:
    """An uploader to a local store whose archived steps arrive in a queue."""

    def __init__(self, root: Path, retry_delays_s: tuple[float, ...] = ()) -> None:
        self.staging, self.store = root / "staging", LocalStore(root / "store")
        self.steps: Queue[int] = Queue()
        self.uploader = Uploader(Archive(self.staging, self.store, "demo", on_archived=self._archived), retry_delays_s)

    def _archived(self, step: int, archived: Archived) -> None:
        self.steps.put(step)


def test_the_uploader_archives_checkpoints_of_an_earlier_run_at_its_start(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    checkpoint(watched.staging, 5)
    with watched.uploader:
        assert watched.steps.get(timeout=PATIENCE_S) == 5


def test_the_uploader_archives_a_checkpoint_when_notified(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    with watched.uploader as uploader:
        stage_checkpoint(checkpoint(tmp_path, 5), watched.staging)
        uploader.notify()
        assert watched.steps.get(timeout=PATIENCE_S) == 5


def test_the_uploader_notices_a_checkpoint_without_notification(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    checkpoint(watched.staging, 5)
    with watched.uploader:
        watched.steps.get(timeout=PATIENCE_S)
        for step in (10, 15):
            stage_checkpoint(checkpoint(tmp_path, step), watched.staging)
            assert watched.steps.get(timeout=PATIENCE_S) == step


def test_leaving_the_uploader_waits_for_the_last_checkpoint(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    with watched.uploader:
        stage_checkpoint(checkpoint(tmp_path, 5), watched.staging)
    assert watched.steps.get_nowait() == 5
    assert list(watched.staging.iterdir()) == []


def test_leaving_the_uploader_names_checkpoints_not_archived(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.store.create_text("demo", "no folder")
    with pytest.raises(StoreError, match=r"checkpoint-5 of run demo .*rsvlm checkpoints archive"), watched.uploader:
        stage_checkpoint(checkpoint(tmp_path, 5), watched.staging)
    assert (watched.staging / "checkpoint-5").is_dir()


def test_the_uploader_retries_when_the_store_is_back(tmp_path: Path) -> None:
    watched = Watched(tmp_path, retry_delays_s=(0.01,) * 1000)
    in_the_way = watched.store.root
    in_the_way.write_text("no folder")
    checkpoint(watched.staging, 5)
    with watched.uploader:
        in_the_way.unlink()
        assert watched.steps.get(timeout=PATIENCE_S) == 5


def test_the_error_of_the_block_precedes_that_of_the_uploader(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.store.create_text("demo", "no folder")
    with pytest.raises(ZeroDivisionError), watched.uploader:
        stage_checkpoint(checkpoint(tmp_path, 5), watched.staging)
        _ = 1 / 0


def test_a_failing_on_archived_loses_no_checkpoint(tmp_path: Path) -> None:
    calls = []

    def fail_once(step: int, archived: Archived) -> None:
        calls.append(step)
        if len(calls) == 1:
            raise RuntimeError("the server of events is down")

    staging = tmp_path / "staging"
    checkpoint(staging, 5)
    with Uploader(Archive(staging, LocalStore(tmp_path / "store"), "demo", on_archived=fail_once), (0.01,)):
        pass
    assert calls == [5, 5]
    assert list(staging.iterdir()) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_uploader_thread_is_replaced_at_the_next_notification(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    died = []

    def die_once(step: int, archived: Archived) -> None:
        died.append(step)
        if len(died) == 1:
            # what no handler of errors catches
            raise SystemExit

    staging = tmp_path / "staging"
    checkpoint(staging, 5)
    uploader = Uploader(Archive(staging, LocalStore(tmp_path / "store"), "demo", on_archived=die_once), ())
    with uploader:
        uploader._worker.join(PATIENCE_S)
        uploader.notify()
    assert "has died" in caplog.text
    assert died == [5, 5]
    assert list(staging.iterdir()) == []
