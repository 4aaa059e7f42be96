"""Retention removes only checkpoints that are complete elsewhere and that no rule keeps, and never the newest."""

import json
from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.settings import ArchiveConfig, ExperimentConfig, KeepRule
from tasks.storage.checkpoints.archiver import Archive
from tasks.storage.checkpoints.listing import list_checkpoints
from tasks.storage.checkpoints.paths import archive_checkpoint
from tasks.storage.checkpoints.retention import losses_of, steps_to_keep, thin_store
from tasks.storage.local_store import LocalStore

LOSSES = {10: 0.5, 20: 0.2, 30: 0.4}
STEPS = (10, 20, 30, 40)


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ({}, {10, 20, 30, 40}),
        ({"last": 2}, {30, 40}),
        ({"every_steps": 20}, {20, 40}),
        ({"every_steps": 15}, {30, 40}),
        ({"best": True}, {20, 40}),
        ({"last": 1, "best": True, "every_steps": 10}, {10, 20, 30, 40}),
    ],
)
def test_steps_to_keep_keeps_those_of_any_rule_and_the_newest(rule: dict[str, int], kept: set[int]) -> None:
    assert steps_to_keep(STEPS, KeepRule.model_validate(rule), LOSSES) == kept


def test_a_checkpoint_between_validations_has_the_earlier_loss() -> None:
    assert steps_to_keep((15, 25, 35), KeepRule(best=True), LOSSES) == {25, 35}


def test_without_validation_losses_the_best_is_not_guessed() -> None:
    assert steps_to_keep(STEPS, KeepRule(best=True), {}) == {40}


def test_losses_are_read_from_the_trainers_state() -> None:
    state = {"log_history": [{"step": 1, "loss": 3.0}, {"step": 2, "eval_loss": 0.5}]}
    assert losses_of(json.dumps(state)) == {2: 0.5}
    assert losses_of("no JSON") == losses_of(None) == {}


def test_the_best_can_be_kept_only_where_it_is_known() -> None:
    with pytest.raises(ValueError, match="eval_strategy"):
        ExperimentConfig.model_validate({"archive": {"keep": {"best": True}}})


def checkpoint(training: Path, step: int) -> Path:
    place = training / f"checkpoint-{step}"
    place.mkdir(parents=True)
    (place / "adapter_model.safetensors").write_bytes(b"%d" % step)
    (place / "COMPLETE.json").write_text(json.dumps({"step": step, "files": {"adapter_model.safetensors": 1}}))
    return place


def fill(tmp_path: Path, store: LocalStore, *steps: int) -> None:
    for step in steps:
        archive_checkpoint(checkpoint(tmp_path / "made", step), store, "run", step)


def steps_in(store: LocalStore) -> list[int]:
    return [line.step for line in list_checkpoints(store)]


def test_thin_store_removes_all_files_of_a_checkpoint(tmp_path: Path, store: LocalStore) -> None:
    fill(tmp_path, store, 1, 2, 3)
    assert thin_store(store, "run", KeepRule(last=1)) == [1, 2]
    assert {key.split("/")[2] for key in store.sizes_below("")} == {"checkpoint-3"}


def test_thin_store_removes_nothing_for_an_incomplete_newest(tmp_path: Path, store: LocalStore) -> None:
    fill(tmp_path, store, 1, 2)
    store.delete("run/checkpoints/checkpoint-2/adapter_model.safetensors")
    assert thin_store(store, "run", KeepRule(last=1)) == []
    assert steps_in(store) == [1, 2]


def test_thin_store_finishes_a_killed_removal(tmp_path: Path, store: LocalStore) -> None:
    fill(tmp_path, store, 1, 2)
    store.create_text("run/checkpoints/checkpoint-1/.claim", "removed")
    store.delete("run/checkpoints/checkpoint-1/MANIFEST.json")
    thin_store(store, "run", KeepRule(last=1))
    assert not [key for key in store.sizes_below("") if "checkpoint-1/" in key]


def test_thin_store_does_not_touch_a_folder_being_uploaded(tmp_path: Path, store: LocalStore) -> None:
    fill(tmp_path, store, 2)
    store.create_text("run/checkpoints/checkpoint-1/.claim", "digest of what is coming")
    store.create_text("run/checkpoints/checkpoint-1/adapter_model.safetensors", "1")
    thin_store(store, "run", KeepRule(last=1))
    assert store.read_text("run/checkpoints/checkpoint-1/adapter_model.safetensors") == "1"


def archive(tmp_path: Path, store: LocalStore, **rules: object) -> Archive:
    return Archive(tmp_path / "training" / "staging", store, "run", ArchiveConfig.model_validate(rules))


def test_a_sweep_applies_the_retention_rule(tmp_path: Path, store: LocalStore) -> None:
    for step in (1, 2, 3):
        checkpoint(tmp_path / "training", step)
    bringing = archive(tmp_path, store, keep={"last": 2})
    bringing.recover()
    bringing.upload_staged()
    assert steps_in(store) == [2, 3]


def test_checkpoints_are_archived_though_older_ones_cannot_be_removed(
    tmp_path: Path, store: LocalStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("it is read-only")

    monkeypatch.setattr("tasks.storage.checkpoints.archiver.thin_store", fail)
    checkpoint(tmp_path / "training", 1)
    bringing = archive(tmp_path, store, keep={"last": 1})
    bringing.recover()
    assert list(bringing.upload_staged().archived) == [1]
    assert "older checkpoints of run could not be removed from the store: it is read-only" in caplog.text


def test_thin_local_removes_only_checkpoints_complete_in_the_store(tmp_path: Path, store: LocalStore) -> None:
    training = tmp_path / "training"
    for step in (1, 2, 3):
        checkpoint(training, step)
    bringing = archive(tmp_path, store, keep_local={"last": 1})
    bringing.recover()
    bringing.upload_staged()
    store.delete("run/checkpoints/checkpoint-1/adapter_model.safetensors")
    bringing.thin_disk()
    assert sorted(path.name for path in training.glob("checkpoint-*")) == ["checkpoint-1", "checkpoint-3"]


def test_thin_local_keeps_a_checkpoint_that_was_trained_again(tmp_path: Path, store: LocalStore) -> None:
    training = tmp_path / "training"
    checkpoint(training, 1)
    bringing = archive(tmp_path, store, keep_local={"last": 1})
    bringing.recover()
    bringing.upload_staged()
    for name in ("COMPLETE.json", "adapter_model.safetensors"):
        (training / "checkpoint-1" / name).unlink()
    (training / "checkpoint-1").rmdir()
    checkpoint(training, 1)
    checkpoint(training, 2)
    bringing.thin_disk()
    assert (training / "checkpoint-1").is_dir()
