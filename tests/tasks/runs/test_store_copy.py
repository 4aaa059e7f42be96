"""The runs of a store are copied without weights and data."""

from pathlib import Path
from typing import Any

from tasks.files import write_json, write_text
from tasks.paths import RunFolder
from tasks.runs.curves import read_curves
from tasks.runs.index import list_runs
from tasks.runs.store_copy import copy_runs
from tasks.storage.folder_upload import archive_folder
from tasks.storage.object_store import open_store


def test_settings_reports_and_curves_of_each_run_are_copied(scored_runs: Any, tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    run = RunFolder(scored_runs.workspace / "runs" / "second")
    write_text(tmp_path / "store" / "second" / "experiment.yaml", run.experiment.read_text())
    write_text(tmp_path / "store" / "begun" / "experiment.yaml", "data: {}\n")
    write_text(tmp_path / "store" / "..odd" / "experiment.yaml", "data: {}\n")
    archive_folder(run.reports, store, "second/reports")
    for step in (9, 10):
        state = {"log_history": [{"step": step, "loss": 1.0}]}
        checkpoint = tmp_path / "store" / "second" / "checkpoints" / f"checkpoint-{step}"
        write_json(checkpoint / "trainer_state.json", state)
        write_text(checkpoint / "model.safetensors", "weights")
    copy_runs(store, tmp_path / "copy")
    found = {each.name: each for each in list_runs(tmp_path / "copy")}
    assert found.keys() == {"second", "begun"}
    assert found["second"].state == "complete" and found["second"].scores["LR"].verdict == "better"
    assert found["begun"].state == "interrupted"
    assert read_curves(found["second"].paths).trained == [(10, 1.0)]
    assert list((tmp_path / "copy").rglob("model.safetensors")) == []
