"""What a command that Ctrl-C has ended says: what is saved, and the command that goes on from there."""

import argparse
import atexit
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.errors import RunStopped
from tasks.interrupting import INTERRUPTED_EXIT, Interrupted, stop_requested


@contextmanager
def going_on(options: argparse.Namespace, saved: Callable[[], str]) -> Iterator[None]:
    """Raise Interrupted, with a sentence, where Ctrl-C ends the block; `saved` says what is not lost."""
    stopped = False

    def leave() -> None:
        if stopped:
            os._exit(INTERRUPTED_EXIT)

    # registered first it runs last: taking all imported libraries apart would take seconds more
    atexit.register(leave)
    try:
        yield
    except (KeyboardInterrupt, RunStopped):
        if not stop_requested():
            raise
        stopped = True
        raise Interrupted(f"{saved()}; go on with `{_command(options)}`.") from None


def _command(options: argparse.Namespace) -> str:
    resume = ["--resume"] if "resume" in options and not options.resume else []
    return shlex.join(["rsvlm", *options.arguments, *resume])
