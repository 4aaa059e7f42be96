"""`rsvlm merge` in exit codes."""

from pathlib import Path

import pytest

from flows.cli import main


@pytest.mark.parametrize("command", ["predict", "chat", "serve"])
def test_a_projector_without_an_adapter_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    more = ["--data", "none", "--images", "none", "--out", str(tmp_path / "out")] if command == "predict" else []
    assert main([command, "--model", str(tmp_path), "--projector", "base", *more]) == 2
    assert capsys.readouterr().err == (
        "error: --projector base is about an adapter: give --adapter too, or leave it out.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_missing_base_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = {name: str(tmp_path / name) for name in ("base", "adapter", "out")}
    arguments = [text for name, path in paths.items() for text in (f"--{name}", path)]
    assert main(["merge", *arguments]) == 2
    assert "config.json" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
