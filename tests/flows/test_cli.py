"""Exit codes: a user error ends with 2 and one sentence; a reader that closes the output is not an error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
