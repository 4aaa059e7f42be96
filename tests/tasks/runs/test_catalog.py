"""Runs, reports and images of a workspace by name."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import DataError
from tasks.files import digest_of, write_json, write_text
from tasks.paths import RunFolder
from tasks.runs.catalog import Catalog, different_settings


def test_a_report_is_named_by_run_or_run_and_model(scored_runs: Any) -> None:
    catalog = Catalog(scored_runs.workspace)
    assert catalog.report("first").model == "final" and catalog.report("first").name == "first"
    assert catalog.report("first/base").name == "first/base"
    with pytest.raises(DataError, match="has no report of 'best': it has those of base, final"):
        catalog.report("first/best")


def test_new_runs_appear_after_three_seconds(tmp_path: Path) -> None:
    now = [0.0]
    (tmp_path / "runs").mkdir()
    catalog = Catalog(tmp_path, lambda: now[0])
    assert catalog.runs() == []
    write_text(tmp_path / "runs" / "new" / "experiment.yaml", "data: {}\n")
    assert catalog.runs() == []
    now[0] = 4.0
    assert [run.name for run in catalog.runs()] == ["new"]


def test_the_settings_that_differ_are_named(scored_runs: Any) -> None:
    a, b = (RunFolder(scored_runs.workspace / "runs" / name) for name in ("first", "second"))
    assert different_settings(a, b) == [("training.lora_r", 128, 16)]


def test_drawn_images_are_those_of_the_test_set_that_was_answered(scored_runs: Any, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "drawn"
    shutil.copytree(scored_runs.workspace / "runs" / "first", run)
    write_text(run / "experiment.yaml", "data: {root: null}\n")
    catalog = Catalog(tmp_path)
    report = catalog.report("drawn")
    for name in ("data", "data-1a2b"):
        shutil.copytree(scored_runs.data.root, tmp_path / name)
        write_json(tmp_path / name / "sets" / "filtered_test.manifest.json", {"sha256": digest_of(name)})
    with pytest.raises(DataError, match="The images of drawn are not on this machine"):
        catalog.thumbnail(report, "LR/Train/0.png")
    write_json(run / "predictions" / "final" / "STARTED.json", {"inputs": {"test set": digest_of("data-1a2b")}})
    (tmp_path / "data" / "imagenes" / "LR" / "Train" / "0.png").unlink()
    assert catalog.thumbnail(report, "LR/Train/0.png")[:2] == b"\xff\xd8"
    write_json(run / "experiment.yaml", {"data": {"image_root": {"LR": str(scored_runs.data.images / "LR")}}})
    assert catalog.thumbnail(report, "LR/Train/1.png")[:2] == b"\xff\xd8"


def test_sweeps_with_a_leaderboard_are_found(tmp_path: Path) -> None:
    write_text(tmp_path / "sweeps" / "rates" / "leaderboard.html", "<html>")
    (tmp_path / "sweeps" / "begun").mkdir()
    catalog = Catalog(tmp_path)
    assert catalog.sweeps() == ["rates"] and catalog.leaderboard("rates").is_file()
    with pytest.raises(DataError, match="There is no sweep 'begun'"):
        catalog.leaderboard("begun")
