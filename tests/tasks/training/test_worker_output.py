"""Every line that the worker prints for its parent is parsed again, and no other."""

import math

import pytest

from tasks.training.worker_output import (
    ProgressReporter,
    StepProgress,
    curves_line,
    curves_url,
    saved_line,
    saved_step,
    step_line,
    step_progress,
    stopped_line,
    stopped_step,
    validation_line,
    validation_losses,
)

LOGS = {
    **{"loss": 1.25, "learning_rate": 2e-4, "projector_learning_rate": 2e-5, "epoch": 0.5, "samples_per_second": 12.34},
    **{"tokens_per_second": 7404.2, "padding_share": 0.031, "gpu_memory_gb": 21.5, "gpu_utilisation": 0.97},
    "seconds_left": 3600.4,
}


class RecordedDisplay:
    """A display that records its updates."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, str]] = []
        self.links: list[str] = []

    def show_progress(self, percent: float, description: str) -> None:
        self.shown.append((percent, description))

    def show_link(self, url: str) -> None:
        self.links.append(url)


def test_step_line_shows_all_available_metrics() -> None:
    assert step_line(3, 12, LOGS) == (
        "step 3/12: loss 1.2500, learning rate 2.00e-04, projector 2.00e-05, epoch 0.50, 12.3 samples/s, "
        "7404 tokens/s, 3 % padding, GPU 21.5 GB, 97 % busy, 3600 s left"
    )


@pytest.mark.parametrize("logs", [LOGS, {"loss": math.nan, "seconds_left": 7.0, "learning_rate": 0.0}])
def test_step_line_is_parsed_by_the_parent(logs: dict[str, float]) -> None:
    expected = StepProgress(3, 12, f"{logs['loss']:.4f}", round(logs["seconds_left"]))
    assert step_progress(step_line(3, 12, logs) + "\n") == expected


@pytest.mark.parametrize(
    "line", ["", "step 2: validation loss 0.3", "x step 1/2: loss 1, 3 s left", "step 1/2: loss 1"]
)
def test_other_lines_have_no_step_progress(line: str) -> None:
    assert step_progress(line) is None


def test_only_a_url_is_parsed_as_a_link() -> None:
    assert curves_url(curves_line("https://wandb.ai/me/rsvlm/runs/abc")) == "https://wandb.ai/me/rsvlm/runs/abc"
    assert curves_url("curves are saved as files: send them with `wandb sync x`") is None


def test_display_is_updated_first_last_and_every_few_seconds() -> None:
    display, now = RecordedDisplay(), [0.0]
    reporter = ProgressReporter(display, lambda: now[0], interval_s=5)
    for step in range(1, 101):
        now[0] += 0.25
        reporter.on_line(step_line(step, 100, {**LOGS, "seconds_left": 100 - step}))
    # 25 seconds: the first, then each time that 5 more are over, and the last
    assert [round(percent) for percent, _ in display.shown] == [1, 21, 41, 61, 81, 100]
    assert display.shown[1][1] == "step 21 of 100, loss 1.2500, 0:01:19 left"
    assert display.shown[-1][1] == "step 100 of 100, loss 1.2500"


def test_display_gets_the_link_to_the_curves() -> None:
    display = RecordedDisplay()
    ProgressReporter(display).on_line(curves_line("https://wandb.ai/x"))
    assert (display.links, display.shown) == (["https://wandb.ai/x"], [])


def test_saved_line_is_parsed() -> None:
    assert saved_step(saved_line(300)) == 300
    assert saved_step(saved_line(300) + "\n") == 300


@pytest.mark.parametrize("line", ["", "checkpoint complete: final", "step 300/300: loss 1", "x " + saved_line(3)])
def test_other_lines_have_no_saved_step(line: str) -> None:
    assert saved_step(line) is None


def test_stopped_line_is_parsed() -> None:
    assert stopped_step(stopped_line(7)) == 7
    assert stopped_step(saved_line(7)) is None


def test_validation_lines_are_found_anywhere_in_a_log() -> None:
    log = f"10:00 | {validation_line(10, 0.25)}\n{step_line(11, 30, LOGS)}\n{validation_line(20, 1.5)}\n"
    assert validation_losses(log) == [(10, 0.25), (20, 1.5)]
