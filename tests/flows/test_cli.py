"""Exit codes: a user error ends with 2 and one sentence; a reader that closes the output is not an error."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import flows.commands
from flows.cli import main

TURNS = '[{"from": "human", "value": "<image>\\nRural?"}, {"from": "gpt", "value": "yes"}]'
RECORD = f'{{"id": "1", "image": "LR/1.tif", "conversations": {TURNS}}}'
COMMAND = [sys.executable, "-m", "flows.cli"]


@pytest.mark.parametrize("out", ["file/out.json", "file", "n" * 300, "", "/dev/full"])
def test_an_unwritable_path_ends_with_2_and_one_sentence(tmp_path: Path, out: str) -> None:
    (tmp_path / "raw.json").write_text(f"[{RECORD}]")
    (tmp_path / "file").write_text("something")
    place = str(tmp_path / out) if out else out
    command = [*COMMAND, "data", "filter", str(tmp_path / "raw.json"), place, "--sources", "LR"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "raw.json"]


def test_writing_output_to_a_full_disk_ends_with_2() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, "config", "demo"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr


def test_a_reader_that_closes_the_output_is_not_an_error() -> None:
    with subprocess.Popen([*COMMAND, "config", "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("encoding", "shown"), [("latin-1", "\\u6e2f\xe9"), ("ascii", "\\u6e2f\\xe9"), ("utf-8", "\u6e2f\xe9")]
)
def test_characters_that_the_terminal_lacks_are_escaped(tmp_path: Path, encoding: str, shown: str) -> None:
    (tmp_path / "mine.yaml").write_text("data:\n  unnamed_source: \u6e2f\xe9\n", encoding="utf-8")
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([*COMMAND, "config", str(tmp_path / "mine.yaml")], capture_output=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert f"unnamed_source: {shown}\n" in done.stdout.decode(encoding)


@pytest.mark.parametrize(
    ("closed", "arguments", "code"),
    [(">&-", ["config", "demo"], 0), ("2>&-", ["rum"], 2), ("<&- >&- 2>&-", ["list"], 0)],
)
def test_a_stream_that_the_caller_has_closed_is_not_an_error(
    closed: str, arguments: list[str], code: int, tmp_path: Path
) -> None:
    (tmp_path / "workspace").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "") and "Traceback" not in done.stderr


def test_what_a_command_starts_has_the_stream_that_the_caller_has_closed() -> None:
    program = "from flows.cli import _open_closed_streams; _open_closed_streams(); import os; os.system('echo said')"
    command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("module", ["flows.commands.chat", "tasks.settings.experiment", "prefect.types"])
def test_ctrl_c_while_modules_are_imported_ends_with_130_and_no_traceback(module: str, tmp_path: Path) -> None:
    # -v: Prefect's imports are reported on stderr, too
    command = [sys.executable, "-X", "importtime", "-m", "flows.cli", "run", "demo", "-v", "--workspace", str(tmp_path)]
    said = ""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.rstrip().endswith(f" {module}"):
                process.send_signal(signal.SIGINT)
            said += "" if line.startswith("import time:") else line
    assert (process.returncode, said) == (130, "interrupted\n")


class Interrupted:
    """Part of a class during whose creation Ctrl-C is pressed."""

    def __set_name__(self, owner: type, name: str) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_while_a_class_is_created_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(options: object) -> None:
        type("Settings", (), {"field": Interrupted()})

    command = SimpleNamespace(add_parsers=lambda subparsers: subparsers.add_parser("work").set_defaults(run=work))
    monkeypatch.setattr(flows.commands, "COMMANDS", (command,))
    assert main(["work"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
