"""Trainer callbacks: speed and memory in every log, log lines, graceful stop, and validation after the last step."""

import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType

import torch
from torch.optim.lr_scheduler import LRScheduler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tasks.settings import TrainingConfig
from tasks.worker_lines import FIRST_STEP_DONE, curves_line, step_line, validation_line

GB = 1e9


class StepMetrics(TrainerCallback):
    """Adds speed and memory to the log of every step; must run before all callbacks that send or print logs.

    `projector_learning_rate`; `samples_per_second` and `tokens_per_second` of all processes since the last log;
    `gpu_memory_gb` (peak, in 10^9 bytes) and `gpu_utilisation` (0 to 1) of the first GPU, or `cpu_memory_gb` (peak)
    of the first process; `seconds_left` until the last step.
    """

    def __init__(self, config: TrainingConfig, clock: Callable[[], float] = time.monotonic):
        self.config, self.clock = config, clock
        self.started = self.last = (0.0, 0)
        self.rate: dict[str, float] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self.started = self.last = (self.clock(), state.global_step)

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        lr_scheduler: LRScheduler | None = None,
        **_: object,
    ) -> None:
        # when the step is logged, the scheduler is already at the next step's rates
        self.rate = projector_rate(self.config, lr_scheduler)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        if not logs or "loss" not in logs:
            return
        metrics = {**self._speed(state, logs), **self.rate, **memory_metrics(args.device)}
        logs.update(metrics)
        # the trainer has already stored a copy of the logs
        state.log_history[-1].update(metrics)

    def _speed(self, state: TrainerState, logs: dict[str, float]) -> dict[str, float]:
        now, step = self.clock(), state.global_step
        passed_s, steps = max(now - self.last[0], 1e-9), step - self.last[1]
        all_s, all_steps = now - self.started[0], step - self.started[1]
        self.last = (now, step)
        samples = steps * self.config.per_device_train_batch_size * self.config.micro_batches_per_step
        metrics = {"samples_per_second": samples / passed_s, "seconds_left": _left_s(all_s, all_steps, state)}
        if "tokens" in logs:
            metrics["tokens_per_second"] = logs["tokens"] / passed_s
        return metrics


def _left_s(passed_s: float, steps: int, state: TrainerState) -> float:
    return (state.max_steps - state.global_step) * passed_s / steps if steps else 0.0


def projector_rate(config: TrainingConfig, scheduler: LRScheduler | None) -> dict[str, float]:
    """The projector's current learning rate if it has its own; `scheduler` holds the rate of each parameter group."""
    # accelerate wraps the scheduler
    inner = getattr(scheduler, "scheduler", scheduler)
    highest = getattr(inner, "base_lrs", [])
    if inner is None or config.mm_projector_lr is None or config.mm_projector_lr not in highest:
        return {}
    return {"projector_learning_rate": float(inner.get_last_lr()[highest.index(config.mm_projector_lr)])}


def memory_metrics(device: torch.device) -> dict[str, float]:
    """Peak memory in GB and, if NVIDIA's library is installed, utilisation of a process's device."""
    if device.type != "cuda":
        # Linux counts in KiB
        return {"cpu_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GB}
    metrics = {"gpu_memory_gb": torch.cuda.max_memory_reserved(device) / GB}
    try:
        metrics["gpu_utilisation"] = torch.cuda.utilization(device) / 100
    except Exception:
        # nvidia-ml-py is optional and raises its own errors, and virtual GPUs report nothing: not worth a crash
        return metrics
    return metrics


class LogLines(TrainerCallback):
    """Prints each log, and the address of the Weights & Biases run; must run after all other callbacks."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        if "wandb" in args.report_to and state.is_world_process_zero:
            print(_wandb_line(), flush=True)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        if not state.is_world_process_zero or not logs:
            return
        if "eval_loss" in logs:
            print(validation_line(state.global_step, float(logs["eval_loss"])), flush=True)
        elif "loss" in logs:
            print(step_line(state.global_step, state.max_steps, {"epoch": state.epoch, **logs}), flush=True)


def _wandb_line() -> str:
    import wandb

    run = wandb.run
    if run is None:
        return "curves are only in the log: Weights & Biases started no run"
    if run.offline:
        return f"curves are saved as files: send them with `wandb sync {run.dir.removesuffix('/files')}`"
    return curves_line(run.url)


class StopSignal:
    """Whether this process was asked to stop, by SIGTERM or by a file that its parent creates."""

    def __init__(self, file: Path):
        self.file, self._signalled = file, False

    def catch_sigterm(self) -> None:
        """Handle SIGTERM from now on; before the first step there is nothing to save, and it ends the process."""
        if current_thread() is main_thread():
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True

    def is_set(self) -> bool:
        """Whether the training should stop."""
        return self._signalled or self.file.exists()


class GracefulStop(TrainerCallback):
    """Saves and ends the training after the step in which any process was asked to stop.

    The end of the first step is printed on every machine: only then may the parent ask, and log lines may be rare.
    """

    def __init__(self, stop: StopSignal):
        self.stop, self.first_step_done = stop, False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self.stop.catch_sigterm()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if state.is_local_process_zero and not self.first_step_done:
            print(FIRST_STEP_DONE, flush=True)
        self.first_step_done = True
        if state.global_step < state.max_steps and self._is_requested(args):
            control.should_save = control.should_training_stop = True

    def _is_requested(self, args: TrainingArguments) -> bool:
        """Whether any process was asked to stop: all must end after the same step."""
        if args.world_size == 1:
            return self.stop.is_set()
        requested = torch.tensor(int(self.stop.is_set()), device=args.device)
        torch.distributed.all_reduce(requested, torch.distributed.ReduceOp.MAX)
        return bool(requested.item())


class ValidateAtEnd(TrainerCallback):
    """Also validates after the last step if that is not a multiple of eval_steps, and at an epoch's last step.

    With eval_strategy=epoch, transformers validates only after that step's checkpoint is saved: the checkpoint would
    not hold the result and, if it is the best, would be saved again over files that wait for the store.
    """

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        ends = state.global_step >= state.max_steps or (args.eval_strategy == "epoch" and state.epoch % 1 == 0)
        if ends and args.eval_strategy != "no":
            control.should_evaluate = True

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        control.should_evaluate = False
