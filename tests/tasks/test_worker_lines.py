"""Every line that a worker prints for its parent is parsed again, and no other."""

import math

import pytest

from tasks.worker_lines import (
    StepProgress,
    answers_line,
    answers_progress,
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
    "line", ["", "step 2: validation loss 0.3", "x step 1/2: loss 1.5, 3 s left", "step 1/2: loss 1"]
)
def test_other_lines_have_no_step_progress(line: str) -> None:
    assert step_progress(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "step 1/2: loss high, 3 s left",
        f"step 1/2: loss 0.5, {'9' * 20} s left",
        f"step {'9' * 5000}/2: loss 0.5, 3 s left",
        f"step {'9' * 5000}: validation loss 1.2.3",
        f"{'9' * 5000} of 3 questions answered",
    ],
)
def test_garbage_of_a_library_is_no_progress(line: str) -> None:
    assert step_progress(line) is None and answers_progress(line) is None and validation_losses(line) == []


def test_only_a_url_is_parsed_as_a_link() -> None:
    assert curves_url(curves_line("https://wandb.ai/me/rsvlm/runs/abc")) == "https://wandb.ai/me/rsvlm/runs/abc"
    assert curves_url("curves are saved as files: send them with `wandb sync x`") is None


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


def test_answers_line_is_parsed() -> None:
    assert answers_line(5, 20) == "5 of 20 questions answered before"
    assert answers_line(10, 20, 2.5) == "10 of 20 questions answered, 2.5 per second, 4 s left"
    assert answers_line(5, 20, 0) == "5 of 20 questions answered, 0.0 per second"
    found = [answers_progress(answers_line(5, 20, rate)) for rate in (None, 0, 2.5)]
    assert found == [(5, 20, None), (5, 20, None), (5, 20, 6)]
    assert answers_progress("20 questions") is None
