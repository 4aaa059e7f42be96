"""The program that kills commands at random: a few kills of each quick command, and what it says of a bad one."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
# Writes a file under its final name in two halves, and then another one that it removes when it is started again.
BAD = """
import sys
from pathlib import Path
out = Path(sys.argv[1])
(out / "kept").unlink(missing_ok=True)
with (out / "halved").open("w") as file:
    file.write("first")
    file.flush()
    (out / "folder").mkdir(exist_ok=True)
    file.write("second")
(out / "kept").write_text("all of it")
(out / "last").write_text("last")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["archive", "archive-to-s3", "pull", "pull-from-s3", "merge", "predict", "evaluate"]
)
def test_a_few_kills_of_each_command_lose_nothing(command: str) -> None:
    program = [sys.executable, str(HERE / "random_kills.py"), f"--{command}", "2"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_half_written_and_lost_files_of_a_bad_command_are_detected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(HERE)
    from kill_commands import Killed
    from kill_series import Series

    world = tmp_path / "world"
    bad = Killed("bad", (sys.executable, "-c", BAD, str(world)), world, lambda: None)
    series = Series(bad, tmp_path, random.Random(28))
    tally = series.tally
    # when a kill comes is a matter of the machine too: some more until both were hit
    for kills in range(12, 121, 12):
        series.kill(kills)
        halved = any("halved" in each for each in tally.half_written)
        lost = any("kept" in each for each in tally.lost)
        if halved and lost:
            break
    assert (tally.kills, halved, lost) == (kills, True, True)
