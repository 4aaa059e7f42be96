"""A machine that is taken back, seen from the parent: SIGTERM has the training save, and end in order.

The parent lays a file that every process of every machine looks for at the end of its step (tasks.training.stopping).
A signal would do less: torchrun kills its processes 30 seconds after one.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType


@contextmanager
def stopped_by_sigterm(file: Path) -> Iterator[None]:
    """While the block runs, the first SIGTERM lays `file`; a second one does what SIGTERM did before."""
    file.unlink(missing_ok=True)
    # only the main thread hears signals
    if current_thread() is not main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)

    def lay(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, before)
        file.touch()

    signal.signal(signal.SIGTERM, lay)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        file.unlink(missing_ok=True)
