"""A mistake on the command line: what was meant is named, and the exit code is 2."""

from pathlib import Path

import pytest

from deployments.preset_files import preset_names
from flows.cli import main


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The last line that a wrong command line prints; nothing goes to stdout."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    return printed.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["runn"], "rsvlm: error: runn is not a command: did you mean run?"),
        (["data", "spilt"], "rsvlm data: error: spilt is not a command: did you mean split?"),
        (["data", "split", "a", "b", "--protocol", "groupd"], "groupd is not a choice: did you mean grouped?"),
        (
            ["run", "demo", "--workspce", "w"],
            "rsvlm run: error: --workspce is not an option: did you mean --workspace?",
        ),
        (["run", "demo", "--zzz"], "rsvlm run: error: --zzz is not an option."),
        (["run", "demo", "--set", "training.lora_r", "8"], "training.lora_r 8: write `--set training.lora_r=8`."),
        (["run", "--set", "training.lora_r", "8", "demo"], "training.lora_r 8: write `--set training.lora_r=8`."),
        (["run", "demo", "--set", "training.lora_r", "=8"], "training.lora_r 8: write `--set training.lora_r=8`."),
        (["run", "demo", "--set", "data.seed=1", "data.train=0.5"], "its option: write `--set data.train=0.5`."),
        (["run", "demo", "twice"], "rsvlm run: error: unrecognized arguments: twice"),
    ],
)
def test_what_was_meant_is_named(arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert mistake(capsys, *arguments).endswith(error)


def test_a_command_like_no_other_is_refused_with_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    error = mistake(capsys, "zzzzz")
    assert "zzzzz is not a command: use one of run, " in error and ", predict, " in error


@pytest.mark.parametrize("command", ["run", "train", "config", "preflight"])
def test_a_missing_preset_is_answered_with_all_of_them(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command])
    first, *lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and first.startswith("error: Name a preset, or give the path of a YAML file.")
    assert [line.split()[0] for line in lines] == preset_names()
    assert all(len(line.split()) > 4 for line in lines)


def test_a_command_line_without_a_command_is_answered_with_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2 and "a complete experiment, from data to report" in capsys.readouterr().err


def test_data_of_ones_own_without_a_folder_is_answered_with_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "real-cpu"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: data is not a folder: ") and "add `--set data.root=FOLDER`" in error
    assert list(tmp_path.iterdir()) == []
