"""Lines that workers print for their parents: how each is formatted and parsed."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from tasks.durations import duration
from tasks.paths import checkpoint_name, checkpoint_step

# attribute of a log record with a line that the run's log has already
IS_IN_LOG = "is_in_log"
FIRST_STEP_DONE = "first step done: from now on a stop request saves a checkpoint"
_SAVED = re.compile(r"checkpoint complete: (\S+)")
_STOPPED = re.compile(r"stopped, can be resumed from (\S+)")
# numbers of a few digits: a library may print anything, and larger ones are no steps and no seconds
_PROGRESS = re.compile(
    r"step (?P<step>\d{1,12})/(?P<steps>\d{1,12}): loss (?P<loss>-?(?:\d+\.\d+|nan|inf)), "
    r".*?\b(?P<left>\d{1,10}) s left"
)
_VALIDATED = re.compile(r"step (\d{1,12}): validation loss (\d+\.\d+)")
_CURVES = re.compile(r"curves: (https?://\S+)")
_ANSWERED = re.compile(r"(\d{1,12}) of (\d{1,12}) questions answered(?:.* (\d{1,10}) s left)?")
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


def saved_line(step: int) -> str:
    """Printed by a training when a checkpoint is complete."""
    return f"checkpoint complete: {checkpoint_name(step)}"


def saved_step(line: str) -> int | None:
    """The step of a saved line, or None for any other line."""
    return _step(_SAVED, line)


def stopped_line(step: int) -> str:
    """Printed by a training that was asked to stop and has saved."""
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
    def short_loss(self) -> str:
        """The loss with two digits."""
        return f"{float(self.loss):.2f}"

    @property
    def description(self) -> str:
        """One line for people: step, loss and time left."""
        left = f", {duration(self.left_s)} left" if self.left_s else ""
        return f"step {self.step} of {self.steps}, loss {self.loss}{left}"


def step_line(step: int, steps: int, logs: Mapping[str, float]) -> str:
    """Printed by a training at each log: loss, learning rates, speed, padding, memory and time left."""
    metrics = [text.format(logs[name] * factor) for name, text, factor in _METRICS if name in logs]
    return f"step {step}/{steps}: loss {float(logs['loss']):.4f}, {', '.join(metrics)}"


def step_progress(line: str) -> StepProgress | None:
    """The progress in a step line, or None for any other line."""
    match = _PROGRESS.fullmatch(line.strip())
    return StepProgress(int(match["step"]), int(match["steps"]), match["loss"], int(match["left"])) if match else None


def validation_line(step: int, loss: float) -> str:
    """Printed by a training after each validation."""
    return f"step {step}: validation loss {loss:.4f}"


def validation_losses(text: str) -> list[tuple[int, float]]:
    """Step and loss of every validation line in a log, whatever precedes it on its line."""
    return [(int(step), float(loss)) for step, loss in _VALIDATED.findall(text)]


def curves_line(url: str) -> str:
    """Printed by a training whose curves Weights & Biases shows."""
    return f"curves: {url}"


def curves_url(line: str) -> str | None:
    """The URL in a curves line, or None for any other line."""
    match = _CURVES.fullmatch(line.strip())
    return match[1] if match else None


def answers_line(answered: int, questions: int, rate: float | None = None) -> str:
    """Printed while questions are answered; without a rate (answers per second), for answers of an earlier run."""
    if rate is None:
        return f"{answered} of {questions} questions answered before"
    left = f", {round((questions - answered) / rate)} s left" if rate else ""
    return f"{answered} of {questions} questions answered, {rate:.1f} per second{left}"


class AnswersProgress(NamedTuple):
    """The number of answers and of questions, and the estimated seconds left, if known."""

    answered: int
    questions: int
    left_s: int | None


def answers_progress(line: str) -> AnswersProgress | None:
    """The progress in an answers line, or None for any other line."""
    match = _ANSWERED.match(line)
    return AnswersProgress(int(match[1]), int(match[2]), int(match[3]) if match[3] else None) if match else None
