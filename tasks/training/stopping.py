"""A training process that is asked to stop saves at the end of its step and ends in order, with all others."""

import signal
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

import torch
from transformers import TrainerCallback

from tasks.training.worker_output import BEGUN


class StopSign:
    """Whether this process was asked to stop: by SIGTERM, or by a file that its parent creates."""

    def __init__(self, file: Path):
        self.file, self._signalled = file, False

    def listen(self) -> None:
        """From now on SIGTERM has the training save; before its first step, there is nothing to save."""
        if current_thread() is main_thread():
            signal.signal(signal.SIGTERM, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True

    def is_up(self) -> bool:
        """Whether to stop."""
        return self._signalled or self.file.exists()


class StopInOrder(TrainerCallback):
    """Saves and ends the training after the step in which any process was asked to stop.

    The first step is told on every machine: from then on its parent asks, and log lines may be far apart.
    """

    def __init__(self, sign: StopSign):
        self.sign, self.begun = sign, False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.sign.listen()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_local_process_zero and not self.begun:
            print(BEGUN, flush=True)
        self.begun = True
        if state.global_step < state.max_steps and self._is_asked(args):
            control.should_save = control.should_training_stop = True

    def _is_asked(self, args: Any) -> bool:
        """Whether one of all processes was asked: they must end after the same step."""
        if args.world_size == 1:
            return self.sign.is_up()
        asked = torch.tensor(int(self.sign.is_up()), device=args.device)
        torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
        return bool(asked.item())
