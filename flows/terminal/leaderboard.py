"""A sweep in the terminal: a leaderboard that is redrawn while the sweep runs, or one line per event."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flows.terminal.activity import LogEnds
from flows.terminal.views import restore_cursor
from tasks.interrupting import STOPPING, announcing_stop
from tasks.paths import Workspace
from tasks.sweeping.leaderboard import BEST
from tasks.sweeping.progress import PointProgress, SweepProgress, read_progress
from tasks.sweeping.search_space import describe_point, format_value

if TYPE_CHECKING:
    from rich.console import Console, Group

# seconds between two looks at the files of a sweep
EVERY_S = 0.5
SHOWN_POINTS = 20
Rows = list[tuple[str, ...]]


@contextmanager
def watching(folder: Path, console: "Console") -> Iterator[None]:
    """Show the progress of the sweep in `folder` while the block runs: live in a terminal, else in lines."""
    if not console.is_terminal:
        lines = _Lines(folder, lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))
        with _repeatedly(lines.look), announcing_stop(lambda: lines.write(STOPPING.decode().strip()), lambda: None):
            yield
        return
    from rich.live import Live

    live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
    with live:
        stopping: list[str] = []
        logs = LogEnds()

        def draw() -> None:
            live.update(_drawn(folder, logs, stopping), refresh=True)

        # the next look draws it: a signal handler must not wait for the terminal
        stop = announcing_stop(lambda: stopping.append(STOPPING.decode().strip()), lambda: restore_cursor(console))
        with _repeatedly(draw), stop:
            yield


def _drawn(folder: Path, logs: LogEnds, notes: Sequence[str]) -> "Group":
    from rich.console import Group
    from rich.text import Text

    progress = read_progress(folder)
    board = live_board(folder.name, progress, _activity(folder, logs, progress)) if progress else f"sweep {folder.name}"
    return Group(board, *(Text(note, "bold yellow") for note in notes))


@contextmanager
def _repeatedly(look: Callable[[], None]) -> Iterator[None]:
    """Call `look` at once, then every EVERY_S seconds in a thread while the block runs, and once more after it."""
    ended = threading.Event()
    look()

    def work() -> None:
        while not ended.wait(EVERY_S):
            look()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        look()


class _Lines:
    """Prints what is new since the last look."""

    def __init__(self, folder: Path, write: Callable[[str], None]) -> None:
        self._folder, self.write = folder, write
        self._before: SweepProgress | None = read_progress(folder)
        if self._before and (known := [each for each in self._before.points if each.state != "running"]):
            write(f"{len(known)} of {self._before.total} points were tried before")

    def look(self) -> None:
        now = read_progress(self._folder)
        if now is not None and now != self._before:
            for line in new_lines(self._before, now):
                self.write(line)
            self._before = now


def new_lines(before: SweepProgress | None, now: SweepProgress) -> Iterator[str]:
    """A line for each point that was begun or has ended since `before`, and one when the best is tested."""
    known = {point.number: point.state for point in before.points} if before else {}
    for point in now.points:
        place = f"[{point.number}/{now.total}]"
        if point.number not in known:
            yield f"{place} {describe_point(point.settings)}"
        if point.state != "running" and known.get(point.number) != point.state:
            yield f"{place} {outcome(point, now)}"
    if now.testing and not (before and before.testing):
        yield f"testing the best point, {now.testing}, on the test set"


def outcome(point: PointProgress, progress: SweepProgress) -> str:
    """How a point ended, in a few words."""
    if point.score is None:
        return f"{point.state}: {point.reason}" if point.reason else point.state
    sources = ", ".join(f"{name} {each['value']:.3f}" for name, each in point.sources.items())
    best = progress.scored[0]
    standing = "the best so far" if best.number == point.number else f"best so far: point {best.number}"
    return f"score {format_value(point.score)} ({sources}); {standing}"


def board(progress: SweepProgress, doing: str) -> Rows:
    """The leaderboard as rows of text under a heading: scored points, best first, then the others."""
    scored = progress.scored
    others = [point for point in progress.points if point.score is None]
    names = [path.split(".")[-1] for path in progress.points[0].settings] if progress.points else []
    sources = list(scored[0].sources) if scored else []
    rows: Rows = [("", *names, *sources, "score", "")]
    for rank, point in enumerate([*scored, *others], 1):
        values = [format_value(value) for value in point.settings.values()]
        found = [f"{point.sources[name]['value']:.3f}" if name in point.sources else "" for name in sources]
        state = doing if point.state == "running" else point.verdict or point.state
        place, score = (str(rank), format_value(point.score)) if point.score is not None else ("", "")
        rows.append((place, *(values or [""] * len(names)), *found, score, state))
    return rows


def live_board(name: str, progress: SweepProgress, doing: str) -> "Group":
    """The leaderboard for a terminal; of long ones the first rows and the running point."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    head, *rows = board(progress, "testing" if progress.testing else doing)
    ended = sum(point.state != "running" for point in progress.points)
    stage = f"testing the best on the test set: {doing}" if progress.testing else f"{ended} of {progress.total} points"
    table = Table(box=None, header_style="dim")
    for number, column in enumerate(head):
        table.add_column(column, justify="left" if number == len(head) - 1 else "right")
    shown = [*rows[: SHOWN_POINTS - 1], *rows[-1:]] if len(rows) > SHOWN_POINTS else rows
    for row in shown:
        table.add_row(*row, style="bold green" if row[-1] == BEST else None)
    return Group(Text(f"sweep {name}, {stage}", style="bold"), table)


def _activity(folder: Path, logs: LogEnds, progress: SweepProgress) -> str:
    """What the point that is being tried does."""
    return logs.activity_of(Workspace(folder.parents[1]).run(progress.running).log) if progress.running else ""
