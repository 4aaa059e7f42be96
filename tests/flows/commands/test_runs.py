"""`rsvlm list`: one line per run, for people and for programs."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.command_line import rsvlm
from support.locations import REPO
from support.scored_runs import scored_runs

__all__ = ["scored_runs"]


def test_list_prints_one_line_per_run(scored_runs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert rsvlm("list", "--workspace", scored_runs.workspace) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    columns = ["run", "state", "started", "data", "base", "scores, against the base model", "size", "folder"]
    assert re.split(r"\s{2,}", heading) == columns
    assert len(lines) == 2
    second = next(line for line in lines if line.startswith("second"))
    assert "complete" in second and "LR 1.000 better" in second
    assert second.endswith(str(scored_runs.workspace / "runs" / "second"))


def test_list_json_has_intervals_and_baselines(scored_runs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert rsvlm("list", "--json", "--workspace", scored_runs.workspace) == 0
    found = {run["name"]: run for run in map(json.loads, capsys.readouterr().out.splitlines())}
    assert found["second"]["scores"]["LR"]["ci95"][1] == 1.0 and found["second"]["state"] == "complete"


def test_an_empty_workspace_says_how_to_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rsvlm("list", "--workspace", tmp_path) == 0
    out, err = capsys.readouterr()
    assert out == "" and "start one with `rsvlm run demo`" in err


def test_list_refuses_a_folder_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rsvlm("list", "--workspace", tmp_path / "typo") == 2
    assert "typo is not a folder: give a workspace" in capsys.readouterr().err


@pytest.mark.slow
def test_view_refuses_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    # in its own process, which restarts itself to drop secrets from its environment
    command = [sys.executable, "-m", "flows.cli", "view", "--workspace", str(tmp_path / "typo"), "--port", "0"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (2, "") and "typo is not a folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_an_open_page_without_a_login_is_warned_about(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "view", "--workspace", str(tmp_path), "--port", "0"]
    with subprocess.Popen([*command, "--host", "0.0.0.0"], cwd=REPO, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr and "can read all runs: set RSVLM_SERVE_LOGIN" in process.stderr.readline()
        process.terminate()


def test_a_bad_login_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSVLM_SERVE_LOGIN", "no password")
    assert rsvlm("view", "--workspace", tmp_path, "--port", "0") == 2
    assert "write it as user:password" in capsys.readouterr().err
