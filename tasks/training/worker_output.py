"""Lines that the training worker prints for its parent: how each is formatted, parsed, and shown as progress."""

import re
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple, Protocol

from tasks.paths import checkpoint_name, checkpoint_step

FIRST_STEP_DONE = "first step done: from now on a stop request saves a checkpoint"
_SAVED = re.compile(r"checkpoint complete: (\S+)")
_STOPPED = re.compile(r"stopped, can be resumed from (\S+)")
_PROGRESS = re.compile(r"step (?P<step>\d+)/(?P<steps>\d+): loss (?P<loss>[^,]+), .*?(?P<left>\d+) s left")
_VALIDATED = re.compile(r"step (\d+): validation loss ([0-9.]+)")
_CURVES = re.compile(r"curves: (https?://\S+)")
# Name in the logs, output format, and factor.
_METRICS = (
    ("learning_rate", "learning rate {:.2e}", 1),
    ("projector_learning_rate", "projector {:.2e}", 1),
    ("epoch", "epoch {:.2f}", 1),
    ("samples_per_second", "{:.1f} samples/s", 1),
    ("tokens_per_second", "{:.0f} tokens/s", 1),
    ("padding_share", "{:.0f} % padding", 100),
    ("gpu_memory_gb", "GPU {:.1f} GB", 1),
    ("gpu_utilisation", "{:.0f} % busy", 100),
    ("cpu_memory_gb", "memory {:.1f} GB", 1),
    ("seconds_left", "{:.0f} s left", 1),
)
# A training may print several lines per second, and each update is a request to a server.
INTERVAL_S = 5.0


def saved_line(step: int) -> str:
    """Printed when a checkpoint is complete."""
    return f"checkpoint complete: {checkpoint_name(step)}"


def saved_step(line: str) -> int | None:
    """The step of a saved line, or None for any other line."""
    return _step(_SAVED, line)


def stopped_line(step: int) -> str:
    """Printed when the worker was asked to stop and has saved."""
    return f"stopped, can be resumed from {checkpoint_name(step)}"


def stopped_step(line: str) -> int | None:
    """The step of a stopped line, or None for any other line."""
    return _step(_STOPPED, line)


def _step(pattern: re.Pattern[str], line: str) -> int | None:
    match = pattern.fullmatch(line.strip())
    return checkpoint_step(match[1]) if match else None


class StepProgress(NamedTuple):
    """Steps done and in all, the loss as printed, and the estimated seconds left."""

    step: int
    steps: int
    loss: str
    left_s: int

    @property
    def description(self) -> str:
        """One line for people: step, loss and time left."""
        left = f", {timedelta(seconds=self.left_s)} left" if self.left_s else ""
        return f"step {self.step} of {self.steps}, loss {self.loss}{left}"


def step_line(step: int, steps: int, logs: Mapping[str, Any]) -> str:
    """Printed at each log: loss, learning rates, speed, padding, memory and time left."""
    metrics = [text.format(logs[name] * factor) for name, text, factor in _METRICS if name in logs]
    return f"step {step}/{steps}: loss {float(logs['loss']):.4f}, {', '.join(metrics)}"


def step_progress(line: str) -> StepProgress | None:
    """The progress in a step line, or None for any other line."""
    match = _PROGRESS.fullmatch(line.strip())
    return StepProgress(int(match["step"]), int(match["steps"]), match["loss"], int(match["left"])) if match else None


def validation_line(step: int, loss: float) -> str:
    """Printed after each validation."""
    return f"step {step}: validation loss {loss:.4f}"


def validation_losses(text: str) -> list[tuple[int, float]]:
    """Step and loss of every validation line in a log, whatever precedes it on its line."""
    return [(int(step), float(loss)) for step, loss in _VALIDATED.findall(text)]


def curves_line(url: str) -> str:
    """Printed when Weights & Biases shows the curves."""
    return f"curves: {url}"


def curves_url(line: str) -> str | None:
    """The URL in a curves line, or None for any other line."""
    match = _CURVES.fullmatch(line.strip())
    return match[1] if match else None


class ProgressDisplay(Protocol):
    """Where the progress of a training is shown."""

    def show_progress(self, percent: float, description: str) -> None:
        """Show the progress, 0 to 100."""
        ...

    def show_link(self, url: str) -> None:
        """Show where the curves are."""
        ...


class ProgressReporter:
    """Parses every line of a training and updates a display: at the first and last step, else every `interval_s`."""

    def __init__(
        self,
        display: ProgressDisplay,
        clock: Callable[[], float] = time.monotonic,
        interval_s: float = INTERVAL_S,
    ):
        self._display, self._clock, self._interval_s = display, clock, interval_s
        self._updated_at: float | None = None

    def on_line(self, line: str) -> None:
        """Show the progress or link in a line, if any."""
        if (url := curves_url(line)) is not None:
            self._display.show_link(url)
        if (progress := step_progress(line)) is not None and self._is_due(progress):
            self._updated_at = self._clock()
            self._display.show_progress(100 * progress.step / progress.steps, progress.description)

    def _is_due(self, progress: StepProgress) -> bool:
        if self._updated_at is None or progress.step >= progress.steps:
            return True
        return self._clock() - self._updated_at >= self._interval_s
