"""The view of a run at work: a live list of its steps on a terminal, plain lines elsewhere, or nothing."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from flows.terminal.result import shorter
from flows.terminal.steps import Step, StepList, signs_of
from tasks.durations import duration
from tasks.interrupting import STOPPING, announcing_stop
from tasks.progress import Progress, Watcher, watched_by

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

STYLES = {"done": "green", "working": "bold", "to come": "dim"}
REFRESHES_PER_S = 4
STARTING = "starting"
# wide enough for every row of a table: a file or a pipe has no width
FILE_WIDTH = 200
# plain lines: one for each tenth of a step
TENTHS = 10
SHOW_CURSOR = "\x1b[?25h"


class LiveView:
    """All steps, redrawn in place a few times per second; what the user should know is printed above them."""

    def __init__(self, console: "Console", steps: StepList, log: str):
        self._console, self._steps, self._log = console, steps, log
        self._stopping, self._starting, self._created_s = False, STARTING, time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw while the block runs; the last state stays on the terminal."""
        from rich.live import Live

        live: Live = Live(
            get_renderable=self._render,
            console=self._console,
            refresh_per_second=REFRESHES_PER_S,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with live, announcing_stop(self._stop, self._restore):
            yield

    def begin(self, step: str) -> None:
        self._steps.begin(step)

    def show(self, progress: Progress) -> None:
        self._steps.show(progress)

    def end(self, step: str) -> None:
        self._steps.end(step)

    def note(self, text: str) -> None:
        if self._steps.has_begun:
            self._console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)
        else:
            # what the start waits for
            self._starting = text

    def _stop(self) -> None:
        # drawn by the next refresh: a signal handler must not wait for the terminal
        self._stopping = True

    def _restore(self) -> None:
        restore_cursor(self._console)

    def _render(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        def line(text: str, style: str) -> Text:
            return Text(text, style, no_wrap=True, overflow="ellipsis")

        lines = [line(text, STYLES[state]) for text, state in self._steps.lines()]
        if not self._steps.has_begun:
            waited = duration(time.monotonic() - self._created_s)
            lines.append(line(f"  {self._starting} {waited}", "bold"))
        if self._stopping:
            lines.append(line(STOPPING.decode().strip(), "bold yellow"))
        return Group(*lines, line(f"  log: {self._log}", "dim"))


def restore_cursor(console: "Console") -> None:
    """Show the terminal's cursor again, from a signal handler, which must not wait for the thread that draws."""
    with suppress(OSError):
        console.file.write(SHOW_CURSOR)
        console.file.flush()


class PlainLines:
    """A line when a step begins, at each tenth of it, and when it is done."""

    def __init__(self, steps: StepList, file: TextIO):
        self._steps, self._file = steps, file
        self._tenth = self._done = 0

    def begin(self, step: str) -> None:
        self._tenth = self._done = 0
        self._print(self._steps.label(self._steps.begin(step)))

    def show(self, progress: Progress) -> None:
        step = self._steps.show(progress)
        found = step.progress if step else None
        if step is None or found is None or not found.total:
            return
        if found.done < self._done:
            # a step may have two parts, as the toy's has alignment and training
            self._tenth = -1
        self._done, tenth = found.done, found.done * TENTHS // found.total
        if tenth > self._tenth:
            self._tenth = tenth
            self._print(f"{self._steps.label(step)} {self._steps.detail(step)}")

    def end(self, step: str) -> None:
        done: Step = self._steps.end(step)
        taken = self._steps.taken(done)
        self._print(f"{self._steps.label(done)}: done{f' after {taken}' if taken else ''}")

    def note(self, text: str) -> None:
        self._print(text)

    def _print(self, text: str) -> None:
        with suppress(OSError):
            print(text, file=self._file, flush=True)


class NoView:
    """Shows nothing, as -q asks."""

    def begin(self, step: str) -> None: ...

    def show(self, progress: Progress) -> None: ...

    def end(self, step: str) -> None: ...

    def note(self, text: str) -> None: ...


@contextmanager
def run_shown(names: Sequence[str], longest: str | None, log: Path, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show the steps of a run while the block runs; all other output of this process goes to the file `log`.

    Yields a function to call once Prefect has started: its warnings are shown too. The steps are drawn on stdout if
    that is a terminal, and are plain lines on stderr if not.
    """
    from rich.console import Console

    from flows.terminal.output import output_to, show_warnings

    console = Console(file=sys.stdout)
    with ExitStack() as stack:
        messages = stack.enter_context(output_to(log))
        watch_prefect = stack.enter_context(show_warnings())
        view: Watcher
        if quiet:
            view = NoView()
        elif is_drawn_on(console):
            view = LiveView(console, StepList(names, longest, signs_of(console.encoding)), shorter(log))
            stack.enter_context(view.shown())
        else:
            view = PlainLines(StepList(names, longest, signs_of(messages.encoding)), messages)
        stack.enter_context(watched_by(view))
        yield watch_prefect


def is_drawn_on(console: "Console") -> bool:
    """Whether the console is a terminal on which lines can be redrawn."""
    return console.is_terminal and not console.is_dumb_terminal


def result_console() -> "Console":
    """Where the result is printed: stdout if that is a terminal, else stderr, which leaves stdout to the last line."""
    from rich.console import Console

    console = Console(file=sys.stdout)
    return console if console.is_terminal else Console(stderr=True, width=FILE_WIDTH, no_color=True)
