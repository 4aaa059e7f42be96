"""The steps of a run as lines of text: done, at work and to come."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tasks.durations import duration
from tasks.progress import Progress

BAR_CELLS = 10
LONGEST = "takes longest"
State = Literal["done", "working", "to come"]


class Signs(NamedTuple):
    """What a line is drawn with: a done step, the filled and the empty part of a bar."""

    done: str
    filled: str
    empty: str


DRAWN = Signs("✓", "▇", "▁")
PLAIN = Signs("*", "#", "-")


def signs_of(encoding: str | None) -> Signs:
    """The signs that an encoding has."""
    try:
        "".join(DRAWN).encode(encoding or "ascii")
    except UnicodeEncodeError:
        return PLAIN
    return DRAWN


def bar(share: float, signs: Signs = DRAWN) -> str:
    """A bar of BAR_CELLS characters for a share of 0 to 1."""
    filled = int(min(max(share, 0.0), 1.0) * BAR_CELLS)
    return signs.filled * filled + signs.empty * (BAR_CELLS - filled)


@dataclass
class Step:
    """One step: when it began, ended and last reported, in seconds of a monotonic clock, and its parts' progress."""

    name: str
    began_s: float | None = None
    ended_s: float | None = None
    reported_s: float = 0.0
    parts: dict[str, Progress] = field(default_factory=dict)

    @property
    def state(self) -> State:
        if self.ended_s is not None:
            return "done"
        return "to come" if self.began_s is None else "working"

    @property
    def progress(self) -> Progress | None:
        """The progress of all parts together; None if none is known."""
        # another thread may add a part meanwhile
        parts = list(self.parts.values())
        if not parts:
            return None
        known = [part.left_s for part in parts if part.left_s is not None]
        return Progress(
            sum(part.done for part in parts),
            sum(part.total for part in parts),
            parts[-1].detail,
            max(known) if known else None,
        )


class Line(NamedTuple):
    """A line of the list of steps, and the state of its step."""

    text: str
    state: State


class StepList:
    """The steps of a run, as `tasks.progress` reports them; `longest` is the one that is expected to take longest."""

    def __init__(
        self,
        names: Sequence[str],
        longest: str | None = None,
        signs: Signs = DRAWN,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.steps = [Step(name) for name in names]
        self._longest, self._signs, self._clock = longest, signs, clock

    def begin(self, name: str) -> Step:
        """Mark a step as begun; one that is not in the list is added."""
        step = next((step for step in self.steps if step.name == name), None)
        if step is None:
            self.steps.append(step := Step(name))
        step.began_s, step.ended_s, step.parts = self._clock(), None, {}
        return step

    def end(self, name: str) -> Step:
        """Mark a step as done."""
        (step,) = (step for step in self.steps if step.name == name)
        step.ended_s = self._clock()
        return step

    def show(self, progress: Progress) -> Step | None:
        """Keep the progress of the step at work; None if none is."""
        step = next((step for step in self.steps if step.state == "working"), None)
        if step is not None:
            step.parts[progress.part], step.reported_s = progress, self._clock()
        return step

    @property
    def has_begun(self) -> bool:
        return any(step.began_s is not None for step in self.steps)

    def lines(self) -> Iterator[Line]:
        """A line for each step."""
        width = max(len(step.name) for step in self.steps)
        for step in self.steps:
            mark = self._signs.done if step.state == "done" else " "
            yield Line(f"{mark} {self.label(step)}{self._rest(step, width)}".rstrip(), step.state)

    def label(self, step: Step) -> str:
        """The step with its number, such as "[4/9] training"."""
        return f"[{self.steps.index(step) + 1}/{len(self.steps)}] {step.name}"

    def _rest(self, step: Step, width: int) -> str:
        if step.state == "working":
            return f" {self.detail(step)}"
        space = " " * (width - len(step.name) + 2)
        if step.state == "to come":
            return f"{space}{LONGEST}" if step.name == self._longest else ""
        return f"{space}{self.taken(step)}"

    def taken(self, step: Step) -> str:
        """How long a step has taken so far, in words; nothing below a second."""
        assert step.began_s is not None
        seconds = (self._clock() if step.ended_s is None else step.ended_s) - step.began_s
        return duration(seconds) if seconds >= 1 else ""

    def detail(self, step: Step) -> str:
        """How far a step is, such as "120/216 ▇▇▇▇▇▁▁▁▁▁ loss 0.94, 14 min left"; else its time so far."""
        progress = step.progress
        if progress is None or not progress.total:
            return self.taken(step)
        words = ", ".join(part for part in (progress.detail, self._left(step, progress.left_s)) if part)
        return f"{progress.done}/{progress.total} {bar(progress.done / progress.total, self._signs)} {words}".rstrip()

    def _left(self, step: Step, left_s: int | None) -> str:
        """How long a step still takes, in words; it runs down between two reports, which may be minutes apart."""
        left = (left_s or 0) - (self._clock() - step.reported_s)
        return f"{duration(left)} left" if left >= 1 else ""
