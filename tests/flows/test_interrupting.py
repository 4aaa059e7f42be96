"""Ctrl-C as a terminal sends it, to all processes of the group, in every phase of a run."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.processes import read_proc
from support.terminal import Terminal

from tasks.files import read_json

pytestmark = pytest.mark.slow
# fewer than the 30 s that Prefect gives a cancelled run; a machine that others use needs several of them
LIMIT_S, AT_ONCE_S = 25, 15
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
    "merging": r"'phases: merge-lora' - Beginning",
    "answering": r"'phases: predict-subsets .* - Beginning",
    "evaluating": r"'phases: evaluate-model .* - Beginning",
}


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
        # all output: the tests wait for lines of Prefect and of the workers
        started.append(Terminal(folder / "home", command, "demo", "-v", *settings, *place, *options))
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
    terminal.until_said(r"step \d+/\d{3,}: loss")
    assert "no checkpoint is saved yet; continue with `rsvlm run demo " in require_in_order(terminal)


def test_sigterm_outside_a_training_ends_a_run_like_ctrl_c(run: Callable[..., Terminal]) -> None:
    terminal = run("run", "--name", "toy", base="tiny", max_steps=2)
    terminal.until_server_starts()
    assert "continue with `rsvlm run demo " in require_in_order(terminal, Terminal.send_sigterm)
    terminal = run("run", "--name", "toy", base="tiny", max_steps=2)
    terminal.until_said(r"step \d+/\d{3,}: loss")
    assert "continue with `rsvlm run demo " in require_in_order(terminal, Terminal.send_sigterm)


def test_sigterm_to_all_processes_ends_a_run_like_ctrl_c(tmp_path: Path) -> None:
    # as `timeout` and batch systems send it: it ends Prefect's embedded server as well
    settings = [part for change in (*SMALL, "model.base=tiny") for part in ("--set", change)]
    terminal = Terminal(tmp_path / "home", "run", "demo", *settings, "--workspace", str(tmp_path / "workspace"))
    terminal.until_said(r"base model \d+/")
    os.killpg(terminal.pid, signal.SIGTERM)
    code, seconds = terminal.ended()
    assert code == 130 and seconds < LIMIT_S, (code, seconds)
    assert "interrupted: " in terminal.said.splitlines()[-1] and not terminal.processes(), terminal.said[-5000:]


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
