"""What docs/merging.md shows runs as it stands there; its messages are those that are said."""

import re
from pathlib import Path

import pytest
from PIL import Image
from support.locations import REPO

from flows.cli import main

PAGE = (REPO / "docs" / "merging.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [text.strip() for language, text in BLOCKS if not language]
MERGE = "rsvlm merge --base BASE --adapter CHECKPOINT --out MERGED"
# tests/flows/test_experiment.py runs the flow with a step; the others are programs that we do not install
ELSEWHERE = ("vllm serve MERGED", "python -m llava.serve.cli --model-path MERGED --image-file harbor.png")


@pytest.fixture
def place(base: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the page's words are directories."""
    base.rename(tmp_path / "BASE")
    adapter.rename(tmp_path / "CHECKPOINT")
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "harbor.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_command_is_run_here_or_marked() -> None:
    assert [MERGE, *ELSEWHERE] == COMMANDS
    assert len(PYTHON) == 2 and "step=" in PYTHON[1]
    assert all(command in PAGE.split("not run by our tests")[1] for command in ELSEWHERE)


def test_the_command_and_the_example_for_transformers_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(MERGE.split()[1:]) == 0
    assert capsys.readouterr().out == "MERGED\n"
    exec(PYTHON[0], {})
    assert capsys.readouterr().out.endswith("\n")


@pytest.mark.parametrize("options", re.findall(r"^\| `(--[^`]+)` \|", PAGE, re.MULTILINE))
def test_each_option_is_taken(place: Path, options: str) -> None:
    if options.startswith("--projector"):
        (place / "CHECKPOINT" / "non_lora_trainables.bin").unlink()
    (place / "REPORT").mkdir()
    (place / "REPORT" / "metrics.json").write_text('{"vqa": {"LR": {"accuracy": 0.5}}}')
    assert main([*MERGE.split()[1:], *options.split()]) == 0
    assert (place / "MERGED" / "MANIFEST.json").is_file()


def test_the_messages_are_those_of_the_code() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (REPO / "tasks").rglob("*.py"))
    # joined as Python joins strings, values left out
    said = re.sub(r'"\s*\n\s*f?"', "", source)
    said = re.sub(r"\{[^{}\"]*\}", "...", said)
    rows = PAGE.split("## What is refused")[1].split("## ")[0].split("\n")
    messages = [text for row in rows if row.startswith("| `") for text in re.findall(r"`([^`]+)`", row.split(" | ")[0])]
    parts = [part.strip(" ()") for text in messages if text != "--verify" for part in re.split(r"\.\.\.|\[|\]", text)]
    wanted = [part for part in parts if len(part) > 6]
    assert len(wanted) > 15
    assert [part for part in wanted if part not in said] == []
