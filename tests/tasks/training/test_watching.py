"""What is seen of a training: its lines, its readings, its curves, and its end when the loss is lost."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.errors import TrainingError, UserError
from tasks.files import read_json
from tasks.settings import TrainingConfig
from tasks.training.callbacks import Readings
from tasks.training.job import TrainingOrder
from tasks.training.launch import train
from tasks.training.loss_guard import NOT_FINITE_LINES, ZERO_LINES, LossGuard
from tasks.training.watching import Watcher
from tasks.training.worker_output import Progress, curves_address, curves_line, progress_of, step_line

LOGS = {
    **{"loss": 1.25, "learning_rate": 2e-4, "projector_learning_rate": 2e-5, "epoch": 0.5, "samples_per_second": 12.34},
    **{"tokens_per_second": 7404.2, "padding_share": 0.031, "gpu_memory_gb": 21.5, "gpu_utilisation": 0.97},
    "seconds_left": 3600.4,
}


class Noted:
    """A board that notes what it is told."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, str]] = []
        self.links: list[str] = []

    def show_progress(self, percent: float, description: str) -> None:
        self.shown.append((percent, description))

    def show_link(self, address: str) -> None:
        self.links.append(address)


def test_a_step_line_tells_all_readings_that_there_are() -> None:
    assert step_line(3, 12, LOGS) == (
        "step 3/12: loss 1.2500, learning rate 2.00e-04, projector 2.00e-05, epoch 0.50, 12.3 samples/s, "
        "7404 tokens/s, 3 % padding, GPU 21.5 GB, 97 % busy, 3600 s left"
    )


@pytest.mark.parametrize("logs", [LOGS, {"loss": math.nan, "seconds_left": 7.0, "learning_rate": 0.0}])
def test_a_step_line_is_understood_by_the_parent(logs: dict[str, float]) -> None:
    expected = Progress(3, 12, f"{logs['loss']:.4f}", round(logs["seconds_left"]))
    assert progress_of(step_line(3, 12, logs) + "\n") == expected


@pytest.mark.parametrize(
    "line", ["", "step 2: validation loss 0.3", "x step 1/2: loss 1, 3 s left", "step 1/2: loss 1"]
)
def test_other_lines_tell_no_progress(line: str) -> None:
    assert progress_of(line) is None


def test_only_an_address_is_taken_for_a_link() -> None:
    assert curves_address(curves_line("https://wandb.ai/me/rsvlm/runs/abc")) == "https://wandb.ai/me/rsvlm/runs/abc"
    assert curves_address("curves are kept in files: send them with `wandb sync x`") is None


def test_the_board_is_told_first_last_and_every_few_seconds() -> None:
    board, now = Noted(), [0.0]
    watcher = Watcher(board, lambda: now[0], every_s=5)
    for step in range(1, 101):
        now[0] += 0.25
        watcher.hear(step_line(step, 100, {**LOGS, "seconds_left": 100 - step}))
    # 25 seconds: the first, then each time that 5 more are over, and the last
    assert [round(percent) for percent, _ in board.shown] == [1, 21, 41, 61, 81, 100]
    assert board.shown[1][1] == "step 21 of 100, loss 1.2500, 0:01:19 left"
    assert board.shown[-1][1] == "step 100 of 100, loss 1.2500"


def test_the_board_gets_the_link_of_the_curves() -> None:
    board = Noted()
    Watcher(board).hear(curves_line("https://wandb.ai/x"))
    assert (board.links, board.shown) == (["https://wandb.ai/x"], [])


def test_speed_counts_all_processes_and_the_time_since_the_last_log() -> None:
    now = [100.0]
    config = TrainingConfig(nproc_per_node=4, per_device_train_batch_size=2, gradient_accumulation_steps=10)
    readings = Readings(config, lambda: now[0])
    state = SimpleNamespace(global_step=10, max_steps=30, log_history=[{"loss": 1.0}])
    args = SimpleNamespace(device=SimpleNamespace(type="cpu"))
    readings.on_train_begin(args, state, None)
    for step, passed_s in ((11, 4.0), (15, 8.0)):
        now[0] += passed_s
        state.global_step = step
        logs: dict[str, Any] = {"loss": 1.0, "tokens": 16_000}
        readings.on_log(args, state, None, logs)
    assert logs["samples_per_second"] == 4 * 2 * 4 * 10 / 8
    assert logs["tokens_per_second"] == 2000
    # five steps in 12 seconds, and 15 more
    assert logs["seconds_left"] == 36
    assert state.log_history[-1]["samples_per_second"] == logs["samples_per_second"]


def guarded(losses: list[float]) -> tuple[LossGuard, SimpleNamespace]:
    guard, control = LossGuard(), SimpleNamespace(should_save=True)
    for step, loss in enumerate(losses, start=1):
        control.should_save = True
        guard.on_log(None, SimpleNamespace(global_step=step), control, {"loss": loss})
    return guard, control


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_training_and_saves_nothing_more(lost: float) -> None:
    assert guarded([1.0, lost])[1].should_save is False
    with pytest.raises(TrainingError, match=r"since step 2, now at step 4: .* lower learning_rate"):
        guarded([1.0, *[lost] * NOT_FINITE_LINES])


def test_a_loss_of_exactly_0_ends_the_training_only_after_many_lines() -> None:
    guarded([0.0] * (ZERO_LINES - 1))
    with pytest.raises(TrainingError, match=r"has been 0 since step 1, .* `rsvlm inspect`"):
        guarded([0.0] * ZERO_LINES)


def test_one_odd_loss_among_sound_ones_ends_nothing() -> None:
    assert guarded([1.0, math.inf, 0.9, 0.0, 0.8, math.nan, 0.7] * 5)[1].should_save is True


@pytest.fixture(scope="module")
def watched(order_for: Callable[..., TrainingOrder], tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A real training of three steps, its curves kept in files."""
    folder, lines = tmp_path_factory.mktemp("watched"), []
    settings = {"max_steps": 3, "save_strategy": "no", "report_to": ["wandb"], "wandb_mode": "offline"}
    ref = train(order_for(folder / "training", **settings), lines.append)
    return SimpleNamespace(lines=lines, ref=ref, folder=folder)


@pytest.mark.slow
def test_each_step_of_a_real_training_is_told_with_both_rates_speed_padding_and_memory(
    watched: SimpleNamespace,
) -> None:
    steps = [line for line in watched.lines if progress_of(line)]
    assert [progress_of(line).step for line in steps] == [1, 2, 3]
    for word in ("learning rate 1.00e-02, ", "projector 1.00e-03, ", "samples/s", "tokens/s", "% padding", "memory "):
        assert word in steps[0], word
    assert steps[-1].endswith(" 0 s left")


@pytest.mark.slow
def test_the_readings_are_kept_with_the_checkpoint(watched: SimpleNamespace) -> None:
    history = read_json(watched.ref.path / "trainer_state.json")["log_history"]
    assert {"samples_per_second", "tokens_per_second", "padding_share", "cpu_memory_gb"} <= history[0].keys()
    assert 0 < history[0]["cpu_memory_gb"] < 1000


@pytest.mark.slow
def test_curves_without_a_key_are_kept_in_files_and_nothing_is_asked(watched: SimpleNamespace) -> None:
    (line,) = [line for line in watched.lines if line.startswith("curves are kept in files")]
    kept = Path(line.partition("`wandb sync ")[2].removesuffix("`"))
    assert kept.is_relative_to(watched.folder / "logs" / "wandb")
    assert list(kept.glob("run-*.wandb"))


@pytest.mark.slow
def test_a_training_whose_rate_explodes_ends_with_what_to_do(
    order_for: Callable[..., TrainingOrder], tmp_path: Path
) -> None:
    settings = {"learning_rate": 1.0, "lora_alpha": 1e12, "max_steps": 40, "save_steps": 2, "save_total_limit": 1}
    lines: list[str] = []
    with pytest.raises(UserError, match=r"The loss has been not a number since step \d+, .* lower learning_rate"):
        train(order_for(tmp_path / "training", **settings), lines.append)
    last = [progress_of(line).step for line in lines if progress_of(line)][-1]
    assert last < 10
    for checkpoint in (tmp_path / "training").glob("checkpoint-*"):
        losses = [
            entry["loss"] for entry in read_json(checkpoint / "trainer_state.json", allow_nan=True)["log_history"]
        ]
        assert all(math.isfinite(loss) for loss in losses)
