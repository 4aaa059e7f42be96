"""Speed and memory of each step, and the log lines of a real training."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.files import read_json
from tasks.settings import TrainingConfig
from tasks.training.callbacks import StepMetrics
from tasks.training.job import TrainingJob
from tasks.training.launch import train
from tasks.worker_lines import step_progress


def test_speed_is_of_all_processes_since_the_last_log() -> None:
    now = [100.0]
    config = TrainingConfig(nproc_per_node=4, per_device_train_batch_size=2, gradient_accumulation_steps=10)
    metrics = StepMetrics(config, lambda: now[0])
    state = SimpleNamespace(global_step=10, max_steps=30, log_history=[{"loss": 1.0}])
    args = SimpleNamespace(device=SimpleNamespace(type="cpu"))
    metrics.on_train_begin(args, state, None)
    for step, passed_s in ((11, 4.0), (15, 8.0)):
        now[0] += passed_s
        state.global_step = step
        logs: dict[str, Any] = {"loss": 1.0, "tokens": 16_000}
        metrics.on_log(args, state, None, logs)
    assert logs["samples_per_second"] == 4 * 2 * 4 * 10 / 8
    assert logs["tokens_per_second"] == 2000
    # five steps in 12 seconds, and 15 more
    assert logs["seconds_left"] == 36
    assert state.log_history[-1]["samples_per_second"] == logs["samples_per_second"]


@pytest.fixture(scope="module")
def watched(job_for: Callable[..., TrainingJob], tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A real training of three steps, its curves saved as files."""
    folder, lines = tmp_path_factory.mktemp("watched"), []
    settings = {"max_steps": 3, "save_strategy": "no", "report_to": ["wandb"], "wandb_mode": "offline"}
    ref = train(job_for(folder / "training", **settings), lines.append)
    return SimpleNamespace(lines=lines, ref=ref, folder=folder)


@pytest.mark.slow
def test_each_step_is_logged_with_rates_speed_padding_and_memory(
    watched: SimpleNamespace,
) -> None:
    steps = [line for line in watched.lines if step_progress(line)]
    assert [step_progress(line).step for line in steps] == [1, 2, 3]
    for word in ("learning rate 1.00e-02, ", "projector 1.00e-03, ", "samples/s", "tokens/s", "% padding", "memory "):
        assert word in steps[0], word
    assert steps[-1].endswith(" 0 s left")


@pytest.mark.slow
def test_metrics_are_saved_with_the_checkpoint(watched: SimpleNamespace) -> None:
    history = read_json(watched.ref.path / "trainer_state.json")["log_history"]
    assert {"samples_per_second", "tokens_per_second", "padding_share", "cpu_memory_gb"} <= history[0].keys()
    assert 0 < history[0]["cpu_memory_gb"] < 1000


@pytest.mark.slow
def test_curves_without_a_key_are_saved_as_files_without_prompting(watched: SimpleNamespace) -> None:
    (line,) = [line for line in watched.lines if line.startswith("curves are saved as files")]
    kept = Path(line.partition("`wandb sync ")[2].removesuffix("`"))
    assert kept.is_relative_to(watched.folder / "logs" / "wandb")
    assert list(kept.glob("run-*.wandb"))
