"""Fetch all sources of a data folder in parallel with progress bars, and list what must be downloaded manually."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from tasks.data.fetching.http_file import HttpFetcher, ProgressCallback
from tasks.data.fetching.request import FetchRequest, SourceImages
from tasks.data.fetching.source import INSTRUCTIONS_NAME, fetch_instructions, fetch_source, map_in_threads
from tasks.data.fetching.urls import require_url
from tasks.errors import DataError
from tasks.record_reader import image_fault, no_fault, read_records
from tasks.sources import UrlSet, require_known

ReportShare = Callable[[str, float], None]

SOURCES_AT_ONCE = 4


class ByHandNeeded(DataError):
    """Some sources must be downloaded manually."""

    def __init__(self, sources: Sequence[SourceImages]):
        self.sources = [source for source in sources if source.by_hand]
        what = "".join(f"\n  {source.by_hand}" for source in self.sources)
        super().__init__(f"{len(self.sources)} source(s) must be downloaded by hand; then run this again:{what}")


def require_fetchable(sources: Sequence[str], request: FetchRequest) -> None:
    """Raise ConfigError for an unknown source or URL, and DataError for a given path that does not exist.

    Sources that are already in the data folder are not checked: their paths may be gone.
    """
    named = (name for name in (*request.archives, *request.mirrors) if name != INSTRUCTIONS_NAME)
    require_known([*sources, *named], custom=[source.name for source in request.custom_sources])
    folder = request.folder
    given: list[UrlSet] = []
    if not (folder.raw.exists() or folder.dataset.exists()):
        given += request.url_sets(INSTRUCTIONS_NAME, ())
    for name in sources:
        if not (folder.images / request.source(name).folder).exists():
            given += request.own_url_sets(name)
    for url in chain.from_iterable(given):
        require_url(url)


def fetch_all(
    sources: Sequence[str], request: FetchRequest, progress_of: Callable[[str], ProgressCallback]
) -> list[SourceImages]:
    """Fetch the instruction file and then all sources, several at once, into the data folder.

    The result of a source that needs a manual download says so. Other errors are raised after all sources have ended;
    those of require_fetchable before anything is fetched.
    """
    require_fetchable(sources, request)

    def fetcher_of(name: str) -> HttpFetcher:
        return HttpFetcher(request.retry_policy, progress_of(name))

    raw = fetch_instructions(request, fetcher_of)
    images = {record["image"] for record in read_records(raw, no_fault) if image_fault(record) is None}
    return list(map_in_threads(lambda name: fetch_source(name, request, images, fetcher_of), sources, SOURCES_AT_ONCE))


@contextmanager
def progress_bars(report: ReportShare) -> Iterator[Callable[[str], ProgressCallback]]:
    """Yield a function that makes the progress callback of a file from its name.

    A terminal shows one bar per file. `report` gets the name and the share, 0 to 1, at each whole percent.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bars:

        def make(name: str) -> ProgressCallback:
            bar = bars.add_task(name, total=None)
            reported = -1

            def on_progress(done_bytes: int, total_bytes: int | None) -> None:
                nonlocal reported
                bars.update(bar, completed=done_bytes, total=total_bytes)
                percent = done_bytes * 100 // total_bytes if total_bytes else reported
                if percent != reported:
                    reported = percent
                    report(name, percent / 100)

            return on_progress

        yield make
