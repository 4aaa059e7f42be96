"""The runs of a workspace as its files tell, however half-written they are."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import DataError
from tasks.paths import RunFolder
from tasks.runs.index import list_runs, read_run, size_of

AS_OTHER = """
import ctypes, json, os, sys
from pathlib import Path
from tasks.runs.index import list_runs
# root reads everything; without capabilities it is held to the permissions
if os.geteuid() == 0:
    ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
print(json.dumps({run.name: list(run.scores) for run in list_runs(Path(sys.argv[1]))}))
"""
OUTPUT: Any = {"capture_output": True, "text": True, "check": True}
OWNER = """
import sys
from pathlib import Path
from tasks.paths import RunFolder
from tasks.storage.owner import Owner, owned
owner = Owner(user="ben", host="lab", pid=1, since="now")
with owned(RunFolder(Path(sys.argv[1])), owner, print):
    print("owned", flush=True)
    sys.stdin.readline()
"""


def test_complete_runs_are_listed_with_scores_and_settings(scored_runs: Any) -> None:
    second, first = sorted(list_runs(scored_runs.workspace), key=lambda run: run.name, reverse=True)
    assert (first.state, second.state) == ("complete", "complete")
    assert second.data == str(scored_runs.data.root) and second.base == "tiny"
    score = second.scores["LR"]
    assert (score.metric, score.value, score.base, score.verdict) == ("accuracy", 1.0, 0.0, "better")
    assert score.ci95 is not None and (score.blind, score.sees) == (1.0, False)
    assert second.verdict == "better than base on 1 of 1 source; better than image-blind baselines on 0 of 1"
    assert second.reports == ("base", "final")
    assert second.size_bytes > 1000 and second.started <= second.changed


def test_the_last_started_run_comes_first(scored_runs: Any) -> None:
    os.utime(scored_runs.workspace / "runs" / "first" / "experiment.yaml", (10, 10))
    assert [run.name for run in list_runs(scored_runs.workspace)] == ["second", "first"]


def test_a_folder_of_runs_or_a_store_is_read_as_well(scored_runs: Any) -> None:
    assert len(list_runs(scored_runs.workspace / "runs")) == 2


def test_a_workspace_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder: give a workspace"):
        list_runs(tmp_path / "typo")


@pytest.mark.parametrize("name", ["new\nline", "red\x1b[31m", os.fsdecode(b"caf\xe9")])
def test_a_folder_whose_name_cannot_be_shown_is_left_out(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "runs" / name
    folder.mkdir(parents=True)
    (folder / "experiment.yaml").write_text("data: {}\n")
    assert list_runs(tmp_path) == []


def test_a_run_that_another_user_keeps_to_himself_does_not_hide_the_others(scored_runs: Any, tmp_path: Path) -> None:
    for name, private in (("all", ""), ("file", "metrics.json"), ("report", "."), ("reports", "..")):
        folder = tmp_path / "runs" / name
        shutil.copytree(scored_runs.workspace / "runs" / "first", folder)
        if private:
            (folder / "reports" / "final" / private).chmod(0)
    found = json.loads(subprocess.run([sys.executable, "-c", AS_OTHER, str(tmp_path)], **OUTPUT).stdout)
    assert found == {"all": ["LR"], "file": [], "report": [], "reports": []}


def test_foreign_folders_and_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "runs" / "notes").mkdir(parents=True)
    (tmp_path / "runs" / "file.txt").write_text("x")
    (tmp_path / "runs" / "odd" / "experiment.yaml").mkdir(parents=True)
    assert list_runs(tmp_path) == []


DAMAGES = {
    "experiment.yaml": ["", "[1, 2]", "data: 3", "a: [", "\0"],
    "reports/final/metrics.json": ["", "[]", '{"vqa": 3}', '{"vqa": {"LR": 3}}', '{"vqa": {"LR": {"accuracy": 1}}}'],
    "reports/comparison.json": ["", "[]", '{"vqa": {"LR": {"accuracy": 3}}}', '{"vqa": {"LR": {"accuracy": {}}}}'],
    "reports/final/MANIFEST.json": ["", "{}"],
    "logs/outcome.json": ["", "{}", '{"state": "unheard of"}'],
    ".owner.lock": ["", "{}", "x"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [pytest.param(name, text, id=f"{name} {n}") for name, texts in DAMAGES.items() for n, text in enumerate(texts)],
)
def test_a_run_with_a_damaged_file_is_still_listed(name: str, text: str, scored_runs: Any, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "second"
    shutil.copytree(scored_runs.workspace / "runs" / "second", folder)
    (folder / name).write_text(text)
    (found,) = list_runs(tmp_path)
    assert found.name == "second" and found.state in ("complete", "interrupted")


def test_a_run_whose_owner_lives_is_running_and_one_whose_owner_was_killed_is_interrupted(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "experiment.yaml").write_text("data: {}\n")
    command = [sys.executable, "-c", OWNER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "owned\n"
        running = read_run(folder)
        process.send_signal(signal.SIGKILL)
        process.wait()
    killed = read_run(folder)
    assert running and killed
    assert (running.state, killed.state) == ("running", "interrupted")


def test_a_run_of_a_store_is_complete_when_its_final_model_has_a_report(scored_runs: Any, tmp_path: Path) -> None:
    folder = tmp_path / "first"
    shutil.copytree(scored_runs.workspace / "runs" / "first", folder, ignore=shutil.ignore_patterns("logs", ".*"))
    (found,) = list_runs(tmp_path)
    assert found.state == "complete"
    shutil.rmtree(RunFolder(folder).report("final"))
    (found,) = list_runs(tmp_path)
    assert found.state == "interrupted" and found.scores == {}


def test_a_file_with_two_links_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert 100 <= size_of(tmp_path) < 200 + len(str(tmp_path))
