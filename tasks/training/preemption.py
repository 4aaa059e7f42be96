"""A training that is to end, seen from the parent: SIGTERM or Ctrl-C has it save, and end in order.

The parent creates a file that every process of every machine looks for at the end of its step
(tasks.training.stopping). A signal would do less: torchrun kills its processes 30 seconds after one. The file's name
belongs to one order of this process: no other training sees it.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType

from tasks.interrupting import Interrupted, exit_immediately, handles_signals, stopping_gracefully

# The files that stop the trainings of this process.
_signs: set[Path] = set()


class StopRequest:
    """Whether one training was asked to stop, and whether it has taken a step, so that it has something to save."""

    def __init__(self, file: Path):
        self.file, self.begun, self.asked = file, False, False

    def stop(self) -> None:
        """Have the training save and end; one that has not begun is ended here: raises Interrupted."""
        self.asked = True
        if not self.begun:
            raise Interrupted
        self.file.touch()


@contextmanager
def stoppable(file: Path) -> Iterator[StopRequest]:
    """While the block runs, Ctrl-C and the first SIGTERM stop the training in order; later ones act as before it."""
    request = StopRequest(file)
    _signs.add(file)
    try:
        with _on_sigterm(request), stopping_gracefully(request.stop):
            yield request
    finally:
        _signs.discard(file)
        file.unlink(missing_ok=True)


def ask_to_stop(folder: Path) -> bool:
    """Stop the training that this process runs in a folder, from any thread; False where there is none."""
    files = [file for file in tuple(_signs) if file.parent == folder]
    for file in files:
        file.touch()
    return bool(files)


@contextmanager
def _on_sigterm(request: StopRequest) -> Iterator[None]:
    # only the main thread hears signals
    if current_thread() is not main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)

    def hear(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, exit_immediately if handles_signals() else before)
        request.stop()

    signal.signal(signal.SIGTERM, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
