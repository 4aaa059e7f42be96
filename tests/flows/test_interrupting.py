"""Ctrl-C as a terminal sends it, to all processes of the group, in every phase of a run."""

import os
import pty
import re
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.locations import REPO
from support.processes import processes_with, read_proc

from tasks.files import read_json

pytestmark = pytest.mark.slow
LIMIT_S, AT_ONCE_S, PATIENCE_S = 15, 5, 400
CTRL_C = b"\x03"
SMALL = (
    *("data.sources=[LR]", "data.sample.scenes=40", "data.sample.image_size=48", "data.train=0.5", "data.test=0.5"),
    *("training.save_steps=1000", "training.logging_steps=1", "training.lora_r=4", "training.lora_alpha=8"),
    *("training.per_device_train_batch_size=4", "training.gradient_accumulation_steps=1"),
    *("inference.max_new_tokens=2", "evaluation.gallery=2"),
)
TRAINING = r"step 3/\d+: loss"
# in the order in which a run comes to them: each goes on where the one before was interrupted
PHASES = {
    "training": TRAINING,
    "merging": r"'merge-lora-.* - Beginning",
    "answering": r"'predict-subsets-.* - Beginning",
    "evaluating": r"'evaluate-model-.* - Beginning",
}


class Terminal:
    """A command in its own terminal, as a shell starts it."""

    def __init__(self, home: Path, *command: str):
        self.home, self.said = home, ""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        env = {**kept, "PREFECT_HOME": str(home), "PREFECT_LOGGING_COLORS": "false", "COLUMNS": "1000"}
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(REPO)
            os.execve(sys.executable, [sys.executable, "-m", "flows.cli", *command], env)

    def until(self, is_so: Callable[[], object]) -> None:
        """Read the output until a condition holds."""
        end = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < end, self.said[-3000:]
            assert self._read(), self.said[-3000:]

    def until_said(self, pattern: str) -> None:
        self.until(lambda: re.search(pattern, self.said))

    def press_ctrl_c(self) -> None:
        os.write(self._terminal, CTRL_C)

    def send_sigterm(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def ended(self) -> tuple[int, float]:
        """The exit code, and the seconds until the process ended."""
        started, end = time.monotonic(), time.monotonic() + PATIENCE_S
        while self._read():
            if time.monotonic() > end:
                os.killpg(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(status), time.monotonic() - started

    def _read(self) -> bool:
        """Read available output; False at its end."""
        if select.select([self._terminal], [], [], 0.1)[0]:
            # a terminal without a process is an error of input and output
            with suppress(OSError):
                read = os.read(self._terminal, 65536)
                self.said += read.decode("utf-8", "replace")
                return bool(read)
            return False
        return True

    def processes(self) -> list[int]:
        """The process and all its children, found by their PREFECT_HOME."""
        return processes_with("PREFECT_HOME", self.home)

    def until_server_starts(self) -> None:
        """Wait for the process of the server: libraries start short-lived ones too while they are imported."""
        self.until(lambda: any(b"prefect.server" in read_proc(pid, "cmdline") for pid in self.processes()))


def require_in_order(terminal: Terminal, stop: Callable[[Terminal], None] = Terminal.press_ctrl_c) -> str:
    """The rule for one Ctrl-C, or SIGTERM outside a training; returns the last line."""
    stop(terminal)
    code, seconds = terminal.ended()
    print(f"ended after {seconds:.1f} s")
    assert code == 130, terminal.said[-3000:]
    assert seconds < LIMIT_S, terminal.said[-3000:]
    assert "Crash" not in terminal.said and "Traceback" not in terminal.said, terminal.said[-5000:]
    assert not terminal.processes()
    (line,) = [line for line in terminal.said.splitlines() if line.startswith("interrupted: ")]
    return line


@pytest.fixture(scope="module")
def run(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Terminal]]:
    """Start commands that share a workspace and a database."""
    folder = tmp_path_factory.mktemp("interrupted")
    started: list[Terminal] = []

    def start(command: str, *options: str, base: Path | str = tiny_model_dir, **training: int) -> Terminal:
        changes = [*SMALL, f"model.base={base}", *(f"training.{key}={value}" for key, value in training.items())]
        settings = [part for change in changes for part in ("--set", change)]
        place = ("--workspace", str(folder / "workspace"))
        started.append(Terminal(folder / "home", command, "demo", *settings, *place, *options))
        return started[-1]

    yield start
    for pid in started[-1].processes():
        os.kill(pid, signal.SIGKILL)


def test_ctrl_c_during_the_start_of_the_server(run: Callable[..., Terminal]) -> None:
    terminal = run("run", "--name", "server", max_steps=2)
    terminal.until_server_starts()
    assert "no checkpoint is saved yet; continue with `rsvlm run demo " in require_in_order(terminal)


def test_ctrl_c_during_the_toy_training(run: Callable[..., Terminal]) -> None:
    terminal = run("run", "--name", "toy", base="tiny", max_steps=2)
    terminal.until_said(r"step \d+/500: loss")
    assert "no checkpoint is saved yet; continue with `rsvlm run demo " in require_in_order(terminal)


def test_sigterm_outside_a_training_ends_a_run_like_ctrl_c(run: Callable[..., Terminal]) -> None:
    terminal = run("run", "--name", "toy", base="tiny", max_steps=2)
    terminal.until_server_starts()
    assert "continue with `rsvlm run demo " in require_in_order(terminal, Terminal.send_sigterm)
    terminal = run("run", "--name", "toy", base="tiny", max_steps=2)
    terminal.until_said(r"step \d+/500: loss")
    assert "continue with `rsvlm run demo " in require_in_order(terminal, Terminal.send_sigterm)


def test_ctrl_c_during_training_prints_a_command_that_resumes(run: Callable[..., Terminal]) -> None:
    terminal = run("train", "--name", "trained", max_steps=4000)
    terminal.until_said(TRAINING)
    found = re.search(r"interrupted: checkpoint-(\d+) is saved; continue with `rsvlm (.*)`", require_in_order(terminal))
    assert found and found[2].endswith("--resume")
    again = run("train", "--name", "trained", "--resume", max_steps=4000)
    again.until_said(f"resuming from checkpoint-{found[1]}")
    require_in_order(again)


@pytest.mark.parametrize("phase", PHASES)
def test_ctrl_c_in_each_later_phase(phase: str, run: Callable[..., Terminal]) -> None:
    terminal = run("run", "--name", "phases", max_steps=12)
    terminal.until_said(PHASES[phase])
    assert "checkpoint-" in require_in_order(terminal)


def test_a_second_ctrl_c_ends_the_run_at_once(run: Callable[..., Terminal]) -> None:
    terminal = run("train", "--name", "at-once", max_steps=4000)
    terminal.until_said(TRAINING)
    # so that it cannot save in time
    (worker,) = [pid for pid in terminal.processes() if b"tasks.training.worker" in read_proc(pid, "cmdline")]
    os.kill(worker, signal.SIGSTOP)
    terminal.press_ctrl_c()
    terminal.until_said("Stopping")
    terminal.press_ctrl_c()
    code, seconds = terminal.ended()
    assert (code, seconds < AT_ONCE_S) == (130, True)
    assert "Traceback" not in terminal.said
    end = time.monotonic() + AT_ONCE_S
    while terminal.processes():
        assert time.monotonic() < end


def test_a_run_interrupted_in_every_phase_completes(run: Callable[..., Terminal]) -> None:
    terminal = run("run", "--name", "phases", max_steps=12)
    code, _ = terminal.ended()
    assert code == 0, terminal.said[-3000:]
    # what is written to stderr comes to the same terminal
    (reports,) = [line for line in terminal.said.splitlines() if line.endswith("/phases/reports")]
    assert read_json(Path(reports) / "comparison.json")
