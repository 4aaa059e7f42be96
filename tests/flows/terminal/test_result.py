"""The verdict in words, and how the program and its paths are named."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.terminal.result import program, shorter, verdict


def view(**values: Any) -> Any:
    return SimpleNamespace(**{"value": 0.5, "note": None, "gain": 0.1, "gain_shown": True, "compared": None, **values})


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (view(compared={"verdict": "better"}), "better than blind, better than base"),
        (view(compared={"verdict": "worse"}, gain_shown=False), "not better than blind, worse than base"),
        (view(compared={"verdict": "tie"}), "better than blind, tie with base"),
        (view(gain=None), "no blind baseline"),
        (view(value=None, note="one image decides"), "one image decides"),
    ],
)
def test_the_verdict_is_in_words(found: Any, words: str) -> None:
    assert verdict(found) == words


def test_a_path_below_the_current_folder_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shorter(tmp_path / "workspace" / "runs") == "workspace/runs"
    assert shorter(Path("/elsewhere")) == "/elsewhere"


def test_a_program_that_is_not_on_the_path_is_named_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [".venv/bin/rsvlm", "run"])
    assert program() == ".venv/bin/rsvlm"
    (tmp_path / "rsvlm").touch(mode=0o755)
    assert program() == "rsvlm"
