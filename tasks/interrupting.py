"""Ctrl-C and SIGTERM: the first stops the work gracefully, a second one ends everything immediately.

A terminal sends Ctrl-C to the whole process group. Workers lead groups of their own. Any other process that this one
starts, and that must outlive the first Ctrl-C so that it can be stopped in order, is started inside `sigint_blocked`.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

from tasks.errors import Interrupted

INTERRUPTED_EXIT = 130
AGAIN_AFTER_S = 0.05
STOPPING = b"\nStopping; press Ctrl-C again to end at once, with nothing more saved.\n"


class _State:
    is_interrupted_early = False
    handles_signals = False
    stop_requested = False
    stop_gracefully: Callable[[], None] | None = None
    before_exit: tuple[Callable[[], None], ...] = ()
    announce: Callable[[], object] = lambda: os.write(2, STOPPING)
    restore: Callable[[], None] = lambda: None


def interrupt_early() -> None:
    """Until `handle_signals` is called, Ctrl-C raises Interrupted.

    Python's own KeyboardInterrupt, once it has passed an `exec` (dataclasses use it), ends the process by the signal
    and not with an exit code, even if it was caught.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _on_early_signal)
        sys.unraisablehook = partial(_raise_again, sys.unraisablehook)


def _on_early_signal(number: int, frame: FrameType | None) -> None:
    _State.is_interrupted_early = True
    raise Interrupted


def _raise_again(report: Callable[[Any], object], ignored: Any) -> None:
    """Raise Interrupted once more, if it was raised in a callback of the interpreter, whose errors Python ignores."""
    if not issubclass(ignored.exc_type, Interrupted):
        report(ignored)
        return
    signal.signal(signal.SIGALRM, _on_alarm)
    signal.setitimer(signal.ITIMER_REAL, AGAIN_AFTER_S)


def _on_alarm(number: int, frame: FrameType | None) -> None:
    raise Interrupted


def handle_signals(*before_exit: Callable[[], None]) -> None:
    """From now on the first Ctrl-C or SIGTERM raises Interrupted; the second calls each of `before_exit` and exits."""
    _State.handles_signals, _State.before_exit = True, before_exit
    for number in (signal.SIGINT, signal.SIGTERM):
        # a program started in the background of a script ignores Ctrl-C and must go on ignoring it
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    if _State.is_interrupted_early:
        # a library that was being imported has caught it, or Python has, and once more is enough
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Interrupted


@contextmanager
def handling_sigterm() -> Iterator[None]:
    """Handle SIGTERM as `handle_signals` does, if it was called, also inside a flow, where Prefect sets a handler."""
    if not _State.handles_signals or current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def handles_signals() -> bool:
    """Whether this process is a command that stops gracefully: `handle_signals` was called."""
    return _State.handles_signals


def stop_requested() -> bool:
    """Whether Ctrl-C was pressed, or SIGTERM sent while no training was running."""
    return _State.stop_requested


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _State.stop_requested:
        exit_immediately(number, frame)
    _State.stop_requested = True
    _State.announce()
    if _State.stop_gracefully is None:
        raise Interrupted
    _State.stop_gracefully()


def exit_immediately(number: int, frame: FrameType | None) -> None:
    """Signal handler for the second signal: end what the command has started, and the command."""
    for end in (*_State.before_exit, _State.restore):
        end()
    # no exit handler of the interpreter may delay it
    os._exit(INTERRUPTED_EXIT)


@contextmanager
def stopping_gracefully(stop: Callable[[], None]) -> Iterator[None]:
    """While the block runs, the first Ctrl-C calls `stop` instead of raising Interrupted."""
    _State.stop_gracefully = stop
    try:
        yield
    finally:
        _State.stop_gracefully = None


@contextmanager
def announcing_stop(announce: Callable[[], None], restore: Callable[[], None]) -> Iterator[None]:
    """While the block runs, the first signal calls `announce` instead of printing, and the second calls `restore`."""
    before = _State.announce, _State.restore
    _State.announce, _State.restore = announce, restore
    try:
        yield
    finally:
        _State.announce, _State.restore = before


@contextmanager
def sigint_blocked() -> Iterator[None]:
    """Block SIGINT in this thread: processes started in the block inherit that and ignore a terminal's Ctrl-C."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
