"""`rsvlm merge`: docs/merging.md is true, and what cannot be merged exits with 2, one sentence and no output."""

import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from support.changed_files import PROJECTOR, Code, change_json
from support.locations import REPO

from flows.cli import main

PAGE = (REPO / "docs" / "merging.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [text.strip() for language, text in BLOCKS if not language]
MERGE = "rsvlm merge --base BASE --adapter CHECKPOINT --out MERGED"
# tests/flows/test_experiment.py runs the flow with a step; the others are programs that we do not install
ELSEWHERE = ("vllm serve MERGED", "python -m llava.serve.cli --model-path MERGED --image-file harbor.png")


def cut_shard(base: Path, adapter: Path) -> None:
    shard = base / "model.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1000])


def other_base(base: Path, adapter: Path) -> None:
    tensors = load_file(base / "model.safetensors")
    kept = {name: value for name, value in tensors.items() if "layers.2" not in name}
    save_file(kept, base / "model.safetensors", {"format": "pt"})


def no_projector(base: Path, adapter: Path) -> None:
    (adapter / PROJECTOR).unlink()


def other_rank(base: Path, adapter: Path) -> None:
    change_json(adapter / "adapter_config.json", r=64)


def code(base: Path, adapter: Path) -> None:
    (adapter / PROJECTOR).write_bytes(pickle.dumps({"weights": Code(base.parent / "trace")}, protocol=2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut_shard, "cut off or damaged"),
        (other_base, "give the base model that it was trained on"),
        (no_projector, "lacks the projector"),
        (other_rank, "not those of rank 64"),
        (code, "holds more than tensors"),
    ],
)
def test_a_refused_merge_exits_with_2_and_one_sentence(
    base: Path, adapter: Path, tmp_path: Path, damage: Callable[[Path, Path], None], reason: str
) -> None:
    damage(base, adapter)
    paths = ["--base", str(base), "--adapter", str(adapter), "--out", str(tmp_path / "out")]
    ended = subprocess.run(
        [sys.executable, "-m", "flows.cli", "merge", *paths], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert reason in ended.stderr
    assert ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {base.name, adapter.name}


@pytest.fixture
def example(base: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that contains the directories named in the page's examples."""
    base.rename(tmp_path / "BASE")
    adapter.rename(tmp_path / "CHECKPOINT")
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "harbor.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_command_of_the_page_is_run_here_or_marked() -> None:
    assert [MERGE, *ELSEWHERE] == COMMANDS
    assert len(PYTHON) == 2 and "step=" in PYTHON[1]
    assert all(command in PAGE.split("Our tests do not run")[1] for command in ELSEWHERE)


def test_the_pages_merge_command_and_transformers_example_run(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(MERGE.split()[1:]) == 0
    assert capsys.readouterr().out == "MERGED\n"
    exec(PYTHON[0], {})
    assert capsys.readouterr().out.endswith("\n")


@pytest.mark.parametrize("options", re.findall(r"^\| `(--[^`]+)` \|", PAGE, re.MULTILINE))
def test_each_option_of_the_page_works(example: Path, options: str) -> None:
    if options.startswith("--projector"):
        (example / "CHECKPOINT" / "non_lora_trainables.bin").unlink()
    (example / "REPORT").mkdir()
    (example / "REPORT" / "metrics.json").write_text('{"vqa": {"LR": {"accuracy": 0.5}}}')
    assert main([*MERGE.split()[1:], *options.split()]) == 0
    assert (example / "MERGED" / "MANIFEST.json").is_file()


def test_the_pages_error_messages_are_in_the_code() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (REPO / "tasks").rglob("*.py"))
    # joined as Python joins strings, values left out
    joined = re.sub(r'"\s*\n\s*f?"', "", source)
    joined = re.sub(r"\{[^{}\"]*\}", "...", joined)
    rows = PAGE.split("## What is refused")[1].split("## ")[0].split("\n")
    messages = [text for row in rows if row.startswith("| `") for text in re.findall(r"`([^`]+)`", row.split(" | ")[0])]
    parts = [part.strip(" ()") for text in messages if text != "--verify" for part in re.split(r"\.\.\.|\[|\]", text)]
    wanted = [part for part in parts if len(part) > 6]
    assert len(wanted) > 15
    assert [part for part in wanted if part not in joined] == []
