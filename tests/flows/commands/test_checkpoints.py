"""`rsvlm checkpoints` in exit codes and JSON lines."""

import json
from pathlib import Path

import pytest

from flows.cli import main
from tasks.settings import ExperimentConfig
from tasks.storage.folder_upload import archive_folder
from tasks.storage.local_store import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint-5"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_text("weights")
    archive_folder(folder, LocalStore(tmp_path / "store"), "demo/checkpoints/checkpoint-5")
    return tmp_path / "store"


def test_a_checkpoint_is_one_json_line(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoints", "list", store.as_uri()]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "run": "demo",
        "step": 5,
        "uri": (store / "demo/checkpoints/checkpoint-5").as_uri(),
        "files": 1,
        "bytes": 7,
        "whole": True,
    }


def test_verify_ends_with_1_when_a_checkpoint_is_incomplete(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store / "demo/checkpoints/checkpoint-5/adapter_model.safetensors").write_text("weighty")
    assert main(["checkpoints", "verify", str(store)]) == 1
    assert json.loads(capsys.readouterr().out)["whole"] is False


def test_an_empty_list_is_reported_and_an_empty_verification_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["checkpoints", "list", str(tmp_path)]) == 0
    assert capsys.readouterr().err == "there is no checkpoint at this address\n"
    assert main(["checkpoints", "verify", str(tmp_path)]) == 2
    assert "nothing was verified" in capsys.readouterr().err


def test_pull_prints_the_folder(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoints", "pull", str(store / "demo"), str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "checkpoint-5")


def test_a_missing_store_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoints", "list", (tmp_path / "typo").as_uri()]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_a_url_without_a_server_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoints", "list", "s3://bucket/prefix", "--endpoint-url", "bogus"]) == 2
    assert (
        capsys.readouterr().err
        == "error: 'bogus' is not a server's address: give http:// or https://, without a login.\n"
    )


def test_checkpoints_of_an_interrupted_run_are_archived_by_hand_and_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "workspace" / "runs" / "demo"
    checkpoint = run / "training" / "checkpoint-5"
    checkpoint.mkdir(parents=True)
    (run / "experiment.yaml").write_text(ExperimentConfig().as_yaml())
    (checkpoint / "adapter_model.safetensors").write_text("weights")
    (checkpoint / "COMPLETE.json").write_text('{"step": 5, "files": {"adapter_model.safetensors": 7}}')
    place = tmp_path / "workspace" / "store" / "demo" / "checkpoints" / "checkpoint-5"
    for said in (f"{place.as_uri()}\n", ""):
        assert main(["checkpoints", "archive", str(run)]) == 0
        assert capsys.readouterr().out == said
    assert (place / "MANIFEST.json").is_file()


def test_a_note_that_a_kill_left_half_written_is_gone_after_the_next_archiving(tmp_path: Path) -> None:
    run = tmp_path / "workspace" / "runs" / "demo"
    half = run / "training" / "archive" / ".checkpoint-5.json.bfa3o79i.part"
    half.parent.mkdir(parents=True)
    half.write_text('{"saved')
    (run / "experiment.yaml").write_text(ExperimentConfig().as_yaml())
    assert main(["checkpoints", "archive", str(run)]) == 0
    assert list(half.parent.iterdir()) == []


def test_archiving_a_folder_that_is_not_a_run_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoints", "archive", str(tmp_path)]) == 2
    assert "is not the folder of a run" in capsys.readouterr().err
