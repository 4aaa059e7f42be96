"""A training in a process of its own that kills itself with SIGKILL when it prints a sign."""

import os
import signal
import sys
from io import StringIO
from multiprocessing import get_context
from typing import Any

from tasks.training.job import TrainingJob

LIMIT_S = 300


class DeadlyOutput(StringIO):
    """Output whose process dies, at once and without cleaning up, when `sign` is written."""

    def __init__(self, sign: str):
        super().__init__()
        self._sign = sign

    def write(self, text: str) -> int:
        if self._sign in text:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().write(text)


def train_until(job: dict[str, Any], sign: str) -> None:
    """Run a training job until it prints `sign`."""
    from tasks.training.worker import work

    sys.stdout = DeadlyOutput(sign)
    work(job)


def kill_training(job: TrainingJob, sign: str) -> None:
    """Train in a child process until it prints `sign`, which kills it."""
    # a server that has loaded all libraries, from which each child is forked: loading takes longer than training
    context = get_context("forkserver")
    context.set_forkserver_preload(["tasks.training.worker"])
    child = context.Process(target=train_until, args=(job.model_dump(mode="json"), sign))
    child.start()
    child.join(LIMIT_S)
    assert child.exitcode == -signal.SIGKILL, f"{sign} was never printed, and the exit code is {child.exitcode}"
    child.close()
