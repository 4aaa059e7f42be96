"""The names of checkpoints."""

from pathlib import Path

import pytest

from tasks.paths import checkpoint_folders, checkpoint_name, checkpoint_step, parse_checkpoint_name


@pytest.mark.parametrize(("step", "number", "name"), [(300, 1, "checkpoint-300"), (300, 2, "checkpoint-300-2")])
def test_a_checkpoint_name_is_parsed_into_step_and_number(step: int, number: int, name: str) -> None:
    assert checkpoint_name(step, number) == name
    assert parse_checkpoint_name(name) == (step, number)


@pytest.mark.parametrize("name", ["final", "checkpoint-", "checkpoint-x", ".checkpoint-3.part", "checkpoint-3-2-1"])
def test_other_names_are_not_checkpoint_names(name: str) -> None:
    assert parse_checkpoint_name(name) is None
    assert checkpoint_step(name) is None


def test_checkpoint_folders_are_sorted_by_step_and_leave_out_other_names(tmp_path: Path) -> None:
    for name in ("checkpoint-1000", "checkpoint-20", "checkpoint-300", "checkpoint-20-2", "final", "checkpoint-x"):
        (tmp_path / name).mkdir()
    assert [step for step, _ in checkpoint_folders(tmp_path)] == [20, 300, 1000]
