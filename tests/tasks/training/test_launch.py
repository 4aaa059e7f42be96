"""How the training process is started, and how its progress is shown."""

import subprocess
import sys
from collections.abc import Mapping, Sequence

import pytest
from pydantic import ValidationError

from tasks.settings import TrainingConfig
from tasks.training.launch import CURVE_POINTS, ProgressReporter, launcher
from tasks.worker_lines import curves_line, step_line, validation_line


def test_one_process_needs_no_launcher() -> None:
    assert launcher(TrainingConfig(deepspeed=None, nproc_per_node=1)) == ()


@pytest.mark.parametrize("settings", [{"nproc_per_node": 4}, {"deepspeed": "zero3"}])
def test_several_processes_and_deepspeed_are_started_by_torchrun(settings: dict[str, object]) -> None:
    config = TrainingConfig.model_validate(settings)
    processes = str(config.nproc_per_node)
    assert launcher(config) == ("-m", "torch.distributed.run", "--nproc-per-node", processes, "--standalone")


def test_several_machines_use_the_rendezvous_endpoint() -> None:
    config = TrainingConfig(nnodes=3, node_rank=2, nproc_per_node=4, rdzv_endpoint="gpu-0:29400")
    command = " ".join(launcher(config))
    assert "--nnodes 3 --node-rank 2 --rdzv-backend static --rdzv-endpoint gpu-0:29400" in command
    assert "--nproc-per-node 4" in command
    assert "--standalone" not in command


@pytest.mark.parametrize(
    "settings", [{"nnodes": 2}, {"nnodes": 2, "rdzv_endpoint": "gpu-0"}, {"node_rank": 1}, {"nnodes": 0}]
)
def test_incomplete_rendezvous_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TrainingConfig.model_validate(settings)


def test_starting_imports_neither_torch_nor_prefect() -> None:
    code = "import sys, tasks.training.launch\nsys.exit(bool({'torch', 'prefect', 'transformers'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)


LOGS = {"loss": 1.25, "learning_rate": 2e-4}


class RecordedDisplay:
    """A display that records its updates."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, str]] = []
        self.links: list[str] = []
        self.curves: list[list[Mapping[str, float]]] = []

    def show_losses(self, history: Sequence[Mapping[str, float]]) -> None:
        self.curves.append(list(history))

    def show_progress(self, percent: float, description: str) -> None:
        self.shown.append((percent, description))

    def show_link(self, url: str) -> None:
        self.links.append(url)


def test_display_is_updated_first_last_and_every_few_seconds() -> None:
    display, now = RecordedDisplay(), [0.0]
    reporter = ProgressReporter(display, lambda: now[0], interval_s=5)
    for step in range(1, 101):
        now[0] += 0.25
        reporter.on_line(step_line(step, 100, {**LOGS, "seconds_left": 100 - step}))
    # 25 seconds: the first, then every 5 seconds, and the last
    assert [round(percent) for percent, _ in display.shown] == [1, 21, 41, 61, 81, 100]
    assert display.shown[1][1] == "step 21 of 100, loss 1.2500, 1 min 19 s left"
    assert display.shown[-1][1] == "step 100 of 100, loss 1.2500"


def test_the_loss_curve_is_drawn_every_few_seconds_while_training() -> None:
    display, now = RecordedDisplay(), [0.0]
    reporter = ProgressReporter(display, lambda: now[0], curve_interval_s=10)
    for step in range(1, 101):
        now[0] += 0.25
        reporter.on_line(step_line(step, 100, {**LOGS, "seconds_left": 100 - step}))
        if step == 50:
            reporter.on_line(validation_line(50, 0.9))
    # 25 seconds
    assert [curve[-1]["step"] for curve in display.curves] == [40, 50]
    assert display.curves[0][0] == {"step": 1, "loss": 1.25}
    assert display.curves[1][-1] == {"step": 50, "eval_loss": 0.9}


def test_a_long_loss_curve_is_thinned() -> None:
    display = RecordedDisplay()
    reporter = ProgressReporter(display, curve_interval_s=0)
    for step in range(1, 2 * CURVE_POINTS + 2):
        reporter.on_line(step_line(step, 9999, {**LOGS, "seconds_left": 1}))
    assert len(display.curves[-1]) <= CURVE_POINTS and display.curves[-1][0]["step"] == 1


def test_display_gets_the_link_to_the_curves() -> None:
    display = RecordedDisplay()
    ProgressReporter(display).on_line(curves_line("https://wandb.ai/x"))
    assert (display.links, display.shown) == (["https://wandb.ai/x"], [])
