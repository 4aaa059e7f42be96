"""A checkpoint is complete only with its marker, and the newest is never deleted."""

from pathlib import Path

import pytest

from tasks.files import read_json, write_json
from tasks.manifests import write_manifest
from tasks.model.checkpoint_origin import CheckpointOrigin
from tasks.paths import COMPLETE
from tasks.training.saved_checkpoints import (
    complete_checkpoints,
    mark_complete,
    publish_final,
    remove_incomplete,
    rotate,
    step_of,
    unmark_damaged,
    write_model_card,
)

RESUME_ONLY = (
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "training_args.bin",
    "global_step4/model_states.pt",
    "zero_to_fp32.py",
)
MODEL = ("adapter_model.safetensors", "adapter_config.json", "trainer_state.json")


def checkpoint(training: Path, step: int) -> Path:
    """A complete checkpoint with some bytes in every file."""
    folder = training / f"checkpoint-{step}"
    for name in (*MODEL, *RESUME_ONLY):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name} of step {step}")
    mark_complete(folder, step, "order")
    return folder


def names(training: Path) -> list[str]:
    return [path.name for path in complete_checkpoints(training)]


def test_checkpoints_are_sorted_by_step_number(tmp_path: Path) -> None:
    for step in (1000, 20, 300):
        checkpoint(tmp_path, step)
    assert [step_of(path) for path in complete_checkpoints(tmp_path)] == [20, 300, 1000]


def test_marker_lists_every_file_with_its_size(tmp_path: Path) -> None:
    marker = read_json(checkpoint(tmp_path, 4) / COMPLETE)
    assert marker["step"] == 4
    assert set(marker["files"]) == {*MODEL, *RESUME_ONLY}
    assert marker["files"]["optimizer.pt"] == len("optimizer.pt of step 4")


def test_checkpoint_is_complete_only_with_marker_and_all_files(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4, 5):
        checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-1" / COMPLETE).unlink()
    (tmp_path / "checkpoint-2" / "optimizer.pt").unlink()
    (tmp_path / "checkpoint-3" / "optimizer.pt").write_text("cut")
    (tmp_path / "checkpoint-4" / COMPLETE).write_text("{")
    (tmp_path / "checkpoint-best").mkdir()
    assert names(tmp_path) == ["checkpoint-5"]


def test_incomplete_checkpoints_are_removed(tmp_path: Path) -> None:
    checkpoint(tmp_path, 1)
    (checkpoint(tmp_path, 2) / COMPLETE).unlink()
    (tmp_path / "checkpoint-notes").mkdir()
    remove_incomplete(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-notes"]


@pytest.mark.parametrize(("keep", "left"), [(1, [30]), (2, [20, 30]), (9, [10, 20, 30]), (None, [10, 20, 30])])
def test_rotation_removes_the_oldest_and_never_the_newest(tmp_path: Path, keep: int | None, left: list[int]) -> None:
    for step in (30, 10, 20):
        checkpoint(tmp_path, step)
    rotate(tmp_path, keep)
    assert [step_of(path) for path in complete_checkpoints(tmp_path)] == left
    assert len(list(tmp_path.iterdir())) == len(left)


def test_incomplete_checkpoint_does_not_count_in_rotation(tmp_path: Path) -> None:
    checkpoint(tmp_path, 10)
    (checkpoint(tmp_path, 20) / COMPLETE).unlink()
    rotate(tmp_path, 1)
    assert names(tmp_path) == ["checkpoint-10"]


def test_final_model_omits_files_for_resuming(tmp_path: Path) -> None:
    publish_final(checkpoint(tmp_path, 4), tmp_path / "final")
    files = {path.relative_to(tmp_path / "final").as_posix() for path in (tmp_path / "final").rglob("*")}
    assert files == {*MODEL, COMPLETE}
    assert set(read_json(tmp_path / "final" / COMPLETE)["files"]) == set(MODEL)


def test_final_model_replaces_an_older_one(tmp_path: Path) -> None:
    for step in (4, 8):
        publish_final(checkpoint(tmp_path, step), tmp_path / "final")
    assert (tmp_path / "final" / MODEL[0]).read_text() == f"{MODEL[0]} of step 8"
    assert not list(tmp_path.glob(".final*"))


def final_of(folder: Path) -> Path:
    publish_final(folder, folder.with_name("final"))
    write_manifest(folder.with_name("final"), "order", {"step": step_of(folder)})
    return folder.with_name("final")


def test_checkpoint_that_shares_the_damage_of_final_is_unmarked(tmp_path: Path) -> None:
    checkpoint(tmp_path, 2)
    final = final_of(checkpoint(tmp_path, 4))
    # same size, in the file that both are hard-linked to
    with (final / MODEL[0]).open("r+") as file:
        file.write("X")
    unmark_damaged(final)
    assert names(tmp_path) == ["checkpoint-2"]


def test_checkpoint_stays_marked_if_only_the_final_is_damaged(tmp_path: Path) -> None:
    final = final_of(checkpoint(tmp_path, 4))
    (final / MODEL[0]).unlink()
    unmark_damaged(final)
    assert names(tmp_path) == ["checkpoint-4"]


def test_nothing_is_unmarked_without_a_final_model(tmp_path: Path) -> None:
    checkpoint(tmp_path, 4)
    unmark_damaged(tmp_path / "final")
    write_json(tmp_path / "final" / COMPLETE, {})
    unmark_damaged(tmp_path / "final")
    assert names(tmp_path) == ["checkpoint-4"]


@pytest.mark.parametrize(("lora", "library"), [(True, "peft"), (False, "transformers")])
def test_model_card_names_base_library_run_and_step(tmp_path: Path, lora: bool, library: str) -> None:
    write_model_card(tmp_path, 4, CheckpointOrigin("demo", "llava-1.5-7b-hf", "order", "weights", "data"), lora)
    card = (tmp_path / "README.md").read_text()
    assert "base_model: llava-1.5-7b-hf" in card
    assert f"library_name: {library}" in card
    assert "run `demo`, optimizer step 4" in card
