"""All sources of a data folder at once, and what a person must do for those that cannot be had."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from tasks.data.fetching.http_file import HttpFetcher, Progress
from tasks.data.fetching.request import FetchRequest, SourceImages
from tasks.data.fetching.source import INSTRUCTIONS_NAME, at_once, obtain_instructions, obtain_source
from tasks.data.fetching.urls import require_address
from tasks.data.records_file import read_records
from tasks.errors import DataError
from tasks.record_faults import image_fault
from tasks.sources import SOURCES, require_known

SOURCES_AT_ONCE = 4


class ByHandNeeded(DataError):
    """Some sources can only be had by a person."""

    def __init__(self, sources: Sequence[SourceImages]):
        self.sources = [source for source in sources if source.by_hand]
        what = "".join(f"\n  {source.by_hand}" for source in self.sources)
        super().__init__(f"{len(self.sources)} source(s) must be fetched by hand; then do the same again:{what}")


def require_obtainable(sources: Sequence[str], request: FetchRequest) -> None:
    """Raise ConfigError for a source that nobody knows, and DataError for a path given of one at which nothing stands.

    What is in the data folder already may need its path no more.
    """
    require_known([*sources, *(name for name in (*request.archives, *request.mirrors) if name != INSTRUCTIONS_NAME)])
    folder = request.folder
    kept = {name: (folder.images / SOURCES[name].folder,) for name in sources}
    for name, places in {INSTRUCTIONS_NAME: (folder.raw, folder.dataset), **kept}.items():
        if not any(place.exists() for place in places):
            for address in chain.from_iterable(request.ways(name, ())):
                require_address(address)


def obtain_all(
    sources: Sequence[str], request: FetchRequest, progress_of: Callable[[str], Progress]
) -> list[SourceImages]:
    """Have the instruction file and all sources in the data folder, several at once.

    A source that a person must fetch is told in its result; all else that goes wrong is raised when all have ended,
    but before anything is fetched what require_obtainable raises.
    """
    require_obtainable(sources, request)

    def fetcher_of(name: str) -> HttpFetcher:
        return HttpFetcher(request.patience, progress_of(name))

    raw = obtain_instructions(request, fetcher_of)
    images = {record["image"] for record in read_records(raw, unfiltered=True) if image_fault(record) is None}
    return list(at_once(lambda name: obtain_source(name, request, images, fetcher_of), sources, SOURCES_AT_ONCE))


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
