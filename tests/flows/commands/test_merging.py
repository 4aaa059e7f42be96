"""`rsvlm merge` in exit codes, and what it shares with the commands that ask adapters."""

import json
from pathlib import Path
from shutil import copytree

import pytest
from PIL import Image

from flows.cli import main


@pytest.mark.parametrize("command", ["predict", "chat", "serve"])
def test_a_projector_without_an_adapter_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    more = ["--data", "none", "--images", "none", "--out", str(tmp_path / "out")] if command == "predict" else []
    assert main([command, "--model", str(tmp_path), "--projector", "base", *more]) == 2
    assert capsys.readouterr().err == (
        "error: --projector base needs an adapter: give --adapter too, or leave it out.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_missing_base_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = {name: str(tmp_path / name) for name in ("base", "adapter", "out")}
    arguments = [text for name, path in paths.items() for text in (f"--{name}", path)]
    assert main(["merge", *arguments]) == 2
    assert "config.json" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["merge", "predict"])
def test_an_adapter_without_a_projector_needs_projector_base(
    tuned_pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    base, out = tuned_pair[0], tmp_path / "out"
    adapter = copytree(tuned_pair[1], tmp_path / "plain")
    (adapter / "non_lora_trainables.bin").unlink()
    Image.new("RGB", (20, 20)).save(tmp_path / "1.png")
    turns = [{"from": "human", "value": "<image>\nIs there a road?"}, {"from": "gpt", "value": "yes"}]
    (tmp_path / "test.json").write_text(json.dumps([{"id": "1", "image": "1.png", "conversations": turns}]))
    asked = ["--model", str(base), "--data", str(tmp_path / "test.json"), "--images", str(tmp_path)]
    given = ["--base", str(base), "--verify"] if command == "merge" else [*asked, "--max-new-tokens", "4"]
    arguments = [command, *given, "--adapter", str(adapter), "--out", str(out)]
    assert main(arguments) == 2
    assert "plain lacks the projector" in (said := capsys.readouterr().err) and "give --projector base" in said
    assert not out.exists()
    assert main([*arguments, "--projector", "base"]) == 0
    assert capsys.readouterr().out == f"{out}\n"
