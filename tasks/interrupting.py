"""Ctrl-C and SIGTERM: the first ends what is at work in order, a second one ends everything at once.

A terminal sends Ctrl-C to the whole process group. Workers lead groups of their own; what else this process starts and
must outlive the first Ctrl-C, to be ended in order, is started inside `shielded`.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

from tasks.errors import Interrupted

INTERRUPTED_EXIT = 130
STOPPING = b"\nStopping; press Ctrl-C again to end at once, with nothing more saved.\n"


class _State:
    listens = False
    asked = False
    in_order: Callable[[], None] | None = None
    at_once: tuple[Callable[[], None], ...] = ()


def listen(*at_once: Callable[[], None]) -> None:
    """From now on the first Ctrl-C or SIGTERM raises Interrupted; the second calls each of `at_once` and exits."""
    _State.listens, _State.at_once = True, at_once
    for number in (signal.SIGINT, signal.SIGTERM):
        # a program started in the background of a script ignores Ctrl-C, and is to go on doing so
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _hear)


@contextmanager
def hearing_sigterm() -> Iterator[None]:
    """For a flow, for which Prefect sets a handler of its own: SIGTERM is heard here where `listen` was called."""
    if not _State.listens or current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def listens() -> bool:
    """Whether this process is a command that ends in order."""
    return _State.listens


def is_asked() -> bool:
    """Whether Ctrl-C has been pressed, or SIGTERM sent while no training was at work."""
    return _State.asked


def _hear(number: int, frame: FrameType | None) -> None:
    if _State.asked:
        end_at_once(number, frame)
    _State.asked = True
    os.write(2, STOPPING)
    if _State.in_order is None:
        raise Interrupted
    _State.in_order()


def end_at_once(number: int, frame: FrameType | None) -> None:
    """A handler for the second signal: ends what the command has started, and the command."""
    for end in _State.at_once:
        end()
    # no handler of the interpreter's end may hold it up
    os._exit(INTERRUPTED_EXIT)


@contextmanager
def ending_in_order(stop: Callable[[], None]) -> Iterator[None]:
    """While the block runs, the first Ctrl-C calls `stop` and raises nothing by itself."""
    _State.in_order = stop
    try:
        yield
    finally:
        _State.in_order = None


@contextmanager
def shielded() -> Iterator[None]:
    """Processes that this thread starts in the block never hear a terminal's Ctrl-C: the signal stays blocked there."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
