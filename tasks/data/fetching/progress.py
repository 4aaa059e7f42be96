"""How far downloads are: bars in a terminal, and a callback for whoever else wants to know."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.data.fetching.http_file import Progress

Tell = Callable[[str, float], None]


@contextmanager
def shown_progress(tell: Tell) -> Iterator[Callable[[str], Progress]]:
    """A maker of progress callbacks by a file's name; `tell` gets each share, 0 to 1, at every whole percent."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bars:

        def make(name: str) -> Progress:
            bar = bars.add_task(name, total=None)
            told = -1

            def on_progress(done_bytes: int, total_bytes: int | None) -> None:
                nonlocal told
                bars.update(bar, completed=done_bytes, total=total_bytes)
                percent = done_bytes * 100 // total_bytes if total_bytes else told
                if percent != told:
                    told = percent
                    tell(name, percent / 100)

            return on_progress

        yield make
