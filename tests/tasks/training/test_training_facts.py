"""How a checkpoint was trained, from its own files."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.training.training_facts import read_training_facts

# 2026-11-02 and 2026-11-03, noon
DAYS_NS = (1_793_620_800_000_000_000, 1_793_707_200_000_000_000)
STATE = {
    "global_step": 300,
    "epoch": 1.5,
    "log_history": [
        *({"step": step, "loss": 300.0 - step} for step in range(1, 301)),
        {"step": 300, "eval_loss": 7.0},
    ],
}
ORIGIN = {"run": "night", "base": "toy", "settings": {"training": {"learning_rate": 0.003}}}


def write(folder: Path, files: dict[str, Any]) -> None:
    """Write JSON files."""
    for name, value in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))


def test_the_facts_are_those_of_the_checkpoints_files(tmp_path: Path) -> None:
    write(tmp_path / "final", {"trainer_state.json": STATE, "origin.json": ORIGIN, "adapter_config.json": {"r": 64}})
    facts = read_training_facts(tmp_path / "final")
    assert facts is not None
    assert (facts.base, facts.lora_rank, facts.learning_rate) == ("toy", 64, 0.003)
    assert (facts.epochs, facts.steps, facts.final_loss, facts.date) == (1.5, 300, 0.0, None)
    # means of three steps each, at the last of them
    assert len(facts.losses) == 100
    assert facts.losses[0] == (3, pytest.approx(298))


def test_settings_and_the_validation_loss_are_known(tmp_path: Path) -> None:
    write(tmp_path / "final", {"trainer_state.json": STATE, "origin.json": ORIGIN})
    facts = read_training_facts(tmp_path / "final")
    assert facts is not None
    assert facts.settings == {"training": {"learning_rate": 0.003}}
    assert facts.validation_losses == ((300, 7.0),)
    # an earlier version saved none
    write(tmp_path / "final", {"origin.json": {**ORIGIN, "settings": None}})
    facts = read_training_facts(tmp_path / "final")
    assert facts is not None and (facts.settings, facts.learning_rate) == ({}, None)


def test_the_date_is_that_of_the_last_note_on_this_step(tmp_path: Path) -> None:
    write(tmp_path / "final", {"trainer_state.json": STATE})
    notes = {
        "checkpoint-300.json": DAYS_NS[0],
        "checkpoint-300-2.json": DAYS_NS[1],
        "checkpoint-400.json": 2 * DAYS_NS[1],
    }
    write(tmp_path / "archive", {name: {"saved_at_ns": time} for name, time in notes.items()})
    facts = read_training_facts(tmp_path / "final")
    assert facts is not None
    assert facts.date == "2026-11-03"


def test_a_checkpoint_that_is_gone_or_damaged_has_no_facts(tmp_path: Path) -> None:
    assert read_training_facts(tmp_path / "final") is None
    (tmp_path / "final").mkdir()
    (tmp_path / "final" / "trainer_state.json").write_text("{")
    assert read_training_facts(tmp_path / "final") is None


def test_a_training_without_adapter_and_losses_has_the_rest(tmp_path: Path) -> None:
    write(tmp_path / "checkpoint-2", {"trainer_state.json": {"global_step": 2, "epoch": 0.1, "log_history": []}})
    facts = read_training_facts(tmp_path / "checkpoint-2")
    assert facts is not None
    assert (facts.base, facts.lora_rank, facts.final_loss, facts.losses, facts.steps) == (None, None, None, (), 2)
