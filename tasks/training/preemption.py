"""Stop a training from the parent process: on SIGTERM or Ctrl-C it saves a checkpoint and ends.

The parent creates a file that every process on every machine checks at the end of its step
(tasks.training.callbacks.GracefulStop). A signal would not be enough: torchrun kills its processes 30 seconds after
one. The file name is unique to one job of this process, so no other training reacts to it.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType

from tasks.interrupting import Interrupted, exit_immediately, handles_signals, stopping_gracefully

# The stop files of the trainings that this process runs.
_stop_files: set[Path] = set()


class StopRequest:
    """Whether one training was asked to stop, and whether it has done a step, so that there is something to save."""

    def __init__(self, file: Path):
        self.file, self.first_step_done, self.requested = file, False, False

    def stop(self) -> None:
        """Have the training save and end; before its first step, raise Interrupted to end it at once."""
        self.requested = True
        if not self.first_step_done:
            raise Interrupted
        self.file.touch()


@contextmanager
def stoppable(file: Path) -> Iterator[StopRequest]:
    """Within the block, Ctrl-C and the first SIGTERM stop the training gracefully; further ones act as before it."""
    request = StopRequest(file)
    _stop_files.add(file)
    try:
        with _on_sigterm(request), stopping_gracefully(request.stop):
            yield request
    finally:
        _stop_files.discard(file)
        file.unlink(missing_ok=True)


def ask_to_stop(folder: Path) -> bool:
    """Stop the training that this process runs in a folder, from any thread; False if there is none."""
    files = [file for file in tuple(_stop_files) if file.parent == folder]
    for file in files:
        file.touch()
    return bool(files)


@contextmanager
def _on_sigterm(request: StopRequest) -> Iterator[None]:
    # only the main thread can handle signals
    if current_thread() is not main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, exit_immediately if handles_signals() else before)
        request.stop()

    signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
