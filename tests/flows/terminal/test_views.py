"""What `rsvlm run` shows: a live list of steps on a terminal, plain lines in a pipe, all with -v, one line with -q."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.locations import REPO
from support.processes import read_proc
from support.terminal import Terminal

from tasks.paths import RunFolder
from tasks.progress import EXPERIMENT_STEPS

pytestmark = pytest.mark.slow
SMALL = (
    *("data.sources=[LR]", "data.sample.scenes=40", "data.sample.image_size=48", "data.train=0.5", "data.test=0.5"),
    *("training.save_steps=1000", "training.logging_steps=1", "training.lora_r=4", "training.lora_alpha=8"),
    *("training.per_device_train_batch_size=4", "training.gradient_accumulation_steps=1"),
    *("inference.max_new_tokens=2", "evaluation.gallery=2"),
)
# what only the log has: addresses, states, and lines of workers
OF_THE_LOG = re.compile(r"127\.0\.0\.1|Beginning|Finished in state|Cached|\d s left.*tokens/s|questions answered")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LINK = re.compile(r"\x1b\]8;[^;]*;file://(\S+?)\x1b\\")


@dataclass(frozen=True)
class World:
    """A workspace and a database that all commands share."""

    folder: Path
    settings: tuple[str, ...]

    @property
    def run(self) -> RunFolder:
        return RunFolder(self.folder / "workspace" / "runs" / "shown")

    def arguments(self, *options: str, name: str = "shown") -> list[str]:
        place = ("--workspace", str(self.folder / "workspace"), "--name", name)
        return ["run", "demo", *(part for each in self.settings for part in ("--set", each)), *place, *options]

    def terminal(self, *options: str, name: str = "shown") -> Terminal:
        return Terminal(self.folder / "home", *self.arguments(*options, name=name), columns=160)

    def piped(self, *options: str) -> "subprocess.CompletedProcess[str]":
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        return subprocess.run(
            [sys.executable, "-m", "flows.cli", *self.arguments(*options)],
            cwd=REPO,
            env={**kept, "PREFECT_HOME": str(self.folder / "home"), "COLUMNS": "1000"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def world(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    settings = (*SMALL, f"model.base={tiny_model_dir}", "training.max_steps=12")
    return World(tmp_path_factory.mktemp("shown"), settings)


@pytest.fixture(scope="module")
def first(world: World) -> Iterator[str]:
    """What the first run prints on a terminal."""
    terminal = world.terminal()
    code, _ = terminal.ended()
    print(terminal.said)
    assert code == 0, terminal.said[-3000:]
    yield terminal.said
    for pid in terminal.processes():
        os.kill(pid, signal.SIGKILL)


def test_a_terminal_shows_the_steps_done_and_to_come(first: str) -> None:
    shown = ESCAPES.sub("", first)
    for number, step in enumerate(EXPERIMENT_STEPS, 1):
        assert f"[{number}/9] {step}" in shown
    assert "✓ [1/9] checks" in shown and "✓ [9/9] archive" in shown
    assert re.search(r"\[4/9\] training +takes longest", shown)
    assert re.search(r"\[4/9\] training \d+/12 ▇*▁* loss \d+\.\d\d", shown)
    assert re.search(r"\[7/9\] answers of the tuned model \d+/\d+ ▇", shown)


def test_a_terminal_shows_nothing_else_and_the_log_has_it(first: str, world: World) -> None:
    assert not OF_THE_LOG.findall(ESCAPES.sub("", first))
    assert "\x1b[?25h" in first.rsplit("\x1b[?25l", 1)[1], "the cursor is shown again"
    log = world.run.log.read_text()
    assert "Beginning" in log and "'compare-reports" in log
    assert "\x1b" not in log
    steps = [line for line in log.splitlines() if "step 12/12: loss" in line]
    assert len(steps) == 1, "a worker's line is in the log once"


def test_a_run_ends_with_its_verdict_its_report_and_what_asks_the_model(first: str, world: World) -> None:
    shown = ESCAPES.sub("", first)
    assert re.search(r"source +score +tuned +base +blind +verdict", shown)
    assert re.search(r"LR \(drawn sample data\) +accuracy( +\d\.\d{3}){3} +(not )?better than blind, ", shown)
    assert LINK.search(first)[1].endswith("/runs/shown/reports/final/report.html")
    assert f"chat --model {world.run.merged}" in shown
    assert shown.splitlines()[-1] == str(world.run.reports)


def test_a_pipe_gets_plain_lines_on_stderr_and_one_line_on_stdout(first: str, world: World) -> None:
    done = world.piped()
    assert (done.returncode, done.stdout) == (0, f"{world.run.reports}\n"), done.stderr
    assert "\x1b" not in done.stderr and not OF_THE_LOG.findall(done.stderr)
    begun = re.findall(r"^\[(\d)/9\] ([a-z ]+)$", done.stderr, re.MULTILINE)
    assert begun == [(str(number), step) for number, step in enumerate(EXPERIMENT_STEPS, 1)]
    assert len(re.findall(r"^\[\d/9\] .*: done", done.stderr, re.MULTILINE)) == 9
    assert re.search(r"^report  .*/reports/final/report.html$", done.stderr, re.MULTILINE)


def test_quiet_prints_the_last_line_only(first: str, world: World) -> None:
    done = world.piped("-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{world.run.reports}\n", "")


def test_verbose_prints_all_output(first: str, world: World) -> None:
    before = world.run.log.read_text()
    done = world.piped("-v")
    assert (done.returncode, done.stdout) == (0, f"{world.run.reports}\n")
    assert "Beginning flow run" in done.stderr and "Cached" in done.stderr
    assert "[1/9]" not in done.stderr and world.run.log.read_text() == before


def test_an_error_is_below_the_steps_and_ends_with_2(first: str, world: World) -> None:
    terminal = world.terminal("--set", "store.uri=file:///proc/none", name="failing")
    code, _ = terminal.ended()
    *_, last = (line for line in ESCAPES.sub("", terminal.said).splitlines() if line.strip())
    assert code == 2 and last.startswith("error: "), terminal.said[-3000:]


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_leaves_the_terminal_in_order(times: int, first: str, world: World) -> None:
    terminal = world.terminal("--set", "training.max_steps=4000", name=f"stopped-{times}")
    terminal.until_said(r"training 3/4000")
    if times == 2:
        # so that it cannot save in time
        (worker,) = [pid for pid in terminal.processes() if b"tasks.training.worker" in read_proc(pid, "cmdline")]
        os.kill(worker, signal.SIGSTOP)
    terminal.press_ctrl_c()
    terminal.until_said("Stopping; press Ctrl-C again")
    if times == 2:
        terminal.press_ctrl_c()
    code, _ = terminal.ended()
    assert code == 130 and "Traceback" not in terminal.said, terminal.said[-3000:]
    assert "\x1b[?25h" in terminal.said.rsplit("\x1b[?25l", 1)[1], "the cursor is shown again"
    assert times == 2 or "interrupted: checkpoint-" in terminal.said
