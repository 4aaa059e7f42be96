"""`rsvlm merge` in exit codes."""

from pathlib import Path

import pytest

from flows.cli import main


def test_a_missing_base_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = {name: str(tmp_path / name) for name in ("base", "adapter", "out")}
    arguments = [text for name, path in paths.items() for text in (f"--{name}", path)]
    assert main(["merge", *arguments]) == 2
    assert "config.json" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
