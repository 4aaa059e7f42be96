"""What is measured beside the loss: rates, speed, memory and the time that is left."""

import resource
import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback

from tasks.settings import TrainingConfig

GB = 1e9


class Readings(TrainerCallback):
    """Adds its readings to every log of a step; must stand before all callbacks that send or print logs.

    `projector_learning_rate`; `samples_per_second` and `tokens_per_second` of all processes since the last log;
    `gpu_memory_gb` (held at most) and `gpu_utilisation` (0 to 1) of the first GPU, or `cpu_memory_gb` (held at most)
    of the first process; `seconds_left`.
    """

    def __init__(self, config: TrainingConfig, clock: Callable[[], float] = time.monotonic):
        self.config, self.clock = config, clock
        self.started = self.last = (0.0, 0)
        self.rate: dict[str, float] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started = self.last = (self.clock(), state.global_step)

    def on_step_begin(self, args: Any, state: Any, control: Any, lr_scheduler: Any = None, **_: Any) -> None:
        # at the log the scheduler has gone on to the next step's rates
        self.rate = projector_rate(self.config, lr_scheduler)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return
        found = {**self._speed(state, logs), **self.rate, **memory_readings(args.device)}
        logs.update(found)
        # the trainer has kept a copy of the logs already
        state.log_history[-1].update(found)

    def _speed(self, state: Any, logs: dict[str, Any]) -> dict[str, float]:
        now, step = self.clock(), state.global_step
        passed_s, steps = max(now - self.last[0], 1e-9), step - self.last[1]
        all_s, all_steps = now - self.started[0], step - self.started[1]
        self.last = (now, step)
        samples = steps * self.config.per_device_train_batch_size * self.config.micro_batches_per_step
        readings = {"samples_per_second": samples / passed_s, "seconds_left": _left_s(all_s, all_steps, state)}
        if "tokens" in logs:
            readings["tokens_per_second"] = logs["tokens"] / passed_s
        return readings


def _left_s(passed_s: float, steps: int, state: Any) -> float:
    return (state.max_steps - state.global_step) * passed_s / steps if steps else 0.0


def projector_rate(config: TrainingConfig, scheduler: Any) -> dict[str, float]:
    """The projector's rate now, where it has one of its own; `scheduler` knows the groups' rates in order."""
    inner = getattr(scheduler, "scheduler", scheduler)
    highest = getattr(inner, "base_lrs", [])
    if config.mm_projector_lr is None or config.mm_projector_lr not in highest:
        return {}
    return {"projector_learning_rate": inner.get_last_lr()[highest.index(config.mm_projector_lr)]}


def memory_readings(device: Any) -> dict[str, float]:
    """Memory and, where NVIDIA's library is installed, utilisation of a process's device."""
    if device.type != "cuda":
        # Linux counts in KiB
        return {"cpu_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GB}
    import torch

    readings = {"gpu_memory_gb": torch.cuda.max_memory_reserved(device) / GB}
    try:
        readings["gpu_utilisation"] = torch.cuda.utilization(device) / 100
    except Exception:
        # nvidia-ml-py is an extra with errors of its own, and virtual GPUs do not tell: no reason to end a training
        return readings
    return readings
