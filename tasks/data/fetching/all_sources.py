"""All sources of a data folder at once, and what a person must do for those that cannot be had."""

from collections.abc import Callable, Sequence
from itertools import chain

from tasks.data.fetching.http_file import HttpFetcher, Progress
from tasks.data.fetching.many import at_once
from tasks.data.fetching.request import FetchRequest, SourceImages
from tasks.data.fetching.source import INSTRUCTIONS_NAME, obtain_instructions, obtain_source
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
