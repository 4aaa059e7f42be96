"""Exit codes: what the user can mend ends with 2 and a sentence, a reader that has gone is no error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TURNS = '[{"from": "human", "value": "<image>\\nRural?"}, {"from": "gpt", "value": "yes"}]'
RECORD = f'{{"id": "1", "image": "LR/1.tif", "conversations": {TURNS}}}'
COMMAND = [sys.executable, "-m", "flows.cli"]


@pytest.mark.parametrize("out", ["file/out.json", "file", "n" * 300, "", "/dev/full"])
def test_a_place_that_cannot_be_written_ends_with_2_and_a_sentence(tmp_path: Path, out: str) -> None:
    (tmp_path / "raw.json").write_text(f"[{RECORD}]")
    (tmp_path / "file").write_text("something")
    place = str(tmp_path / out) if out else out
    command = [*COMMAND, "data", "filter", str(tmp_path / "raw.json"), place, "--sources", "LR"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "raw.json"]


def test_a_full_disk_behind_the_output_ends_with_2() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, "config", "demo"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    with subprocess.Popen([*COMMAND, "config", "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("encoding", "shown"), [("latin-1", "\\u6e2f\xe9"), ("ascii", "\\u6e2f\\xe9"), ("utf-8", "\u6e2f\xe9")]
)
def test_a_letter_that_the_terminal_has_not_ends_no_command(tmp_path: Path, encoding: str, shown: str) -> None:
    (tmp_path / "mine.yaml").write_text("data:\n  unnamed_source: \u6e2f\xe9\n", encoding="utf-8")
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([*COMMAND, "config", str(tmp_path / "mine.yaml")], capture_output=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert f"unnamed_source: {shown}\n" in done.stdout.decode(encoding)
