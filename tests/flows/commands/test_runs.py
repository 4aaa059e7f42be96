"""`rsvlm list`: one line per run, for people and for programs."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.command_line import rsvlm
from support.scored_runs import scored_runs

__all__ = ["scored_runs"]


def test_list_prints_one_line_per_run(scored_runs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert rsvlm("list", "--workspace", scored_runs.workspace) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["run", "state", "started", "data", "base", "scores", "size", "folder"]
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


@pytest.mark.parametrize("command", ["list", "view"])
def test_a_folder_that_does_not_exist_is_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # view restarts itself to drop secrets from its environment
    monkeypatch.setattr("tasks.serving.environment.filter_environment", dict)
    port = ("--port", "0") if command == "view" else ()
    assert rsvlm(command, "--workspace", tmp_path / "typo", *port) == 2
    assert "typo is not a folder: give a workspace" in capsys.readouterr().err


def test_a_bad_login_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSVLM_SERVE_LOGIN", "no password")
    assert rsvlm("view", "--workspace", tmp_path, "--port", "0") == 2
    assert "write it as user:password" in capsys.readouterr().err
