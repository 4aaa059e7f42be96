"""What a run is doing, for whoever shows it: its steps, and the progress of the step at work.

Flows name their steps with `at_step`, and stages report the progress of their workers' lines. A view watches both with
`watched_by`; without one nothing is kept, and notes go to stderr.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

CHECKS, DATA, BASE_MODEL, TRAINING = "checks", "data", "base model", "training"
MERGING, BASE_ANSWERS, TUNED_ANSWERS = "merging", "answers of the base model", "answers of the tuned model"
SCORES, ARCHIVE = "scores", "archive"
TRAINING_STEPS = (CHECKS, DATA, BASE_MODEL, TRAINING)
EXPERIMENT_STEPS = (*TRAINING_STEPS, MERGING, BASE_ANSWERS, TUNED_ANSWERS, SCORES, ARCHIVE)


class Progress(NamedTuple):
    """How far a step is: `done` of `total`, a detail such as the loss, and the seconds left, if they are known.

    What works in parallel reports as different `parts`, which add up.
    """

    done: int
    total: int
    detail: str = ""
    left_s: int | None = None
    part: str = ""


class Watcher(Protocol):
    """What shows a run."""

    def begin(self, step: str) -> None:
        """A step begins."""
        ...

    def show(self, progress: Progress) -> None:
        """The step at work has come further."""
        ...

    def end(self, step: str) -> None:
        """A step is done."""
        ...

    def note(self, text: str) -> None:
        """Something that the user should know."""
        ...


class _State:
    watcher: Watcher | None = None
    step: str | None = None


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """While the block runs, `watcher` gets what is reported in this process."""
    _State.watcher = watcher
    try:
        yield
    finally:
        _State.watcher = _State.step = None


@contextmanager
def at_step(step: str) -> Iterator[None]:
    """Name the work of the block; inside another step it is part of that one."""
    watcher = _State.watcher
    if watcher is None or _State.step is not None:
        yield
        return
    _State.step = step
    watcher.begin(step)
    try:
        yield
    finally:
        _State.step = None
    # not after an error: the step is not done
    watcher.end(step)


def report(progress: Progress) -> None:
    """Show how far the step at work is."""
    if _State.watcher is not None and _State.step is not None:
        _State.watcher.show(progress)


def note(text: str) -> None:
    """Show a line that the user should see at once."""
    if _State.watcher is None:
        print(text, file=sys.stderr)
    else:
        _State.watcher.note(text)
