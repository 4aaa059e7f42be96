"""Ctrl-C: the first ends what is at work in order, a second one ends everything at once.

A terminal sends it to the whole process group. Workers lead groups of their own; what else this process starts and
must outlive the first Ctrl-C, to be ended in order, is started inside `shielded`.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED_EXIT = 130
STOPPING = b"\nStopping; press Ctrl-C again to end at once, with nothing more saved.\n"


class Interrupted(KeyboardInterrupt):
    """The first Ctrl-C, raised in the main thread; the message, where there is one, is for the user."""


class _State:
    asked = False
    in_order: Callable[[], None] | None = None
    at_once: tuple[Callable[[], None], ...] = ()


def listen(*at_once: Callable[[], None]) -> None:
    """From now on the first Ctrl-C raises Interrupted; the second calls each of `at_once` and exits."""
    # a program started in the background of a script ignores it, and is to go on doing so
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        _State.at_once = at_once
        signal.signal(signal.SIGINT, _hear)


def is_asked() -> bool:
    """Whether Ctrl-C has been pressed."""
    return _State.asked


def _hear(number: int, frame: FrameType | None) -> None:
    if _State.asked:
        _end_at_once()
    _State.asked = True
    os.write(2, STOPPING)
    if _State.in_order is None:
        raise Interrupted
    _State.in_order()


def _end_at_once() -> None:
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
