"""Completion as a shell asks for it: commands, options, presets, settings and runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.locations import REPO

from flows.cli import main
from tasks.settings import TrainingConfig

LORA = [name.removeprefix("lora_") for name in TrainingConfig.model_fields if name.startswith("lora_")]
SEPARATOR = "\v"


def completions(line: str, folder: Path) -> list[str]:
    """What the command offers for a line, by the protocol of argcomplete."""
    out = folder / "completions"
    env = {
        **os.environ,
        **{"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": SEPARATOR, "_ARGCOMPLETE_STDOUT_FILENAME": str(out)},
        **{"COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9", "_ARGCOMPLETE_SHELL": "bash"},
        **{"_ARGCOMPLETE_COMP_WORDBREAKS": " \n", "PYTHONPATH": str(REPO)},
    }
    subprocess.run([sys.executable, "-m", "flows.cli"], cwd=folder, env=env, check=True)
    return [each.strip() for each in out.read_text().split(SEPARATOR)]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("rsvlm ru", {"run"}),
        ("rsvlm data sp", {"split"}),
        ("rsvlm run dem", {"demo"}),
        ("rsvlm run mi", {"mine.yaml"}),
        ("rsvlm run demo --work", {"--workspace"}),
        ("rsvlm run demo --set training.lora_", {f"training.lora_{name}=" for name in LORA}),
        ("rsvlm compare fir", {"first"}),
        ("rsvlm report fir", {"first"}),
        ("rsvlm evaluate --checkpoints wor", {"workspace/"}),
        ("rsvlm merge --format l", {"llava"}),
    ],
)
def test_the_beginning_of_a_word_is_completed(line: str, offered: set[str], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "workspace" / "runs" / "first" / "reports").mkdir(parents=True)
    assert set(completions(line, tmp_path)) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_code(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    code = capsys.readouterr().out
    assert "_ARGCOMPLETE" in code and "rsvlm" in code
    assert ("complete --command rsvlm" in code) == (shell == "fish")


def test_bash_completes_with_the_code(tmp_path: Path) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "rsvlm").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m flows.cli "$@"\n')
    (bin_folder / "rsvlm").chmod(0o755)
    script = """
    eval "$(rsvlm completion bash)"
    COMP_LINE="rsvlm run dem"; COMP_POINT=13; COMP_TYPE=9; COMP_WORDS=(rsvlm run dem); COMP_CWORD=2
    $(complete -p rsvlm | sed 's/.*-F \\([^ ]*\\).*/\\1/') rsvlm dem run
    echo "${COMPREPLY[@]}"
    """
    env = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHONPATH": str(REPO)}
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["demo"], done.stderr
