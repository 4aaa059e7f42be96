"""Fetch one source from the user's archive, a mirror or its published URLs, and lay it out in the data folder."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from tasks.data.archives.entries import NoRoomError
from tasks.data.archives.unpacking import archive_kind
from tasks.data.fetching.http_file import HttpFetcher
from tasks.data.fetching.layout import LaidOutCounts, files_of, lay_out, wanted_names
from tasks.data.fetching.request import FetchRequest, SourceImages, clear_downloads, remove_empty, write_provenance
from tasks.data.fetching.urls import LocalPath, fetch_url
from tasks.errors import DataError, FetchError
from tasks.files import link_or_copy, read_json
from tasks.record_reader import no_fault, read_records
from tasks.secret_addresses import without_secrets
from tasks.sources import INSTRUCTIONS, INSTRUCTIONS_BY_HAND, Source, UrlSet

Item = TypeVar("Item")
Result = TypeVar("Result")
# makes the fetcher of a file from the name that its progress is shown under
FetcherOf = Callable[[str], HttpFetcher]

INSTRUCTIONS_NAME = "instructions"
FILES_AT_ONCE = 3


def fetch_instructions(request: FetchRequest, fetcher_of: FetcherOf) -> Path:
    """The instruction file of the data folder, downloaded where there is none.

    Raises FetchError, which says what to do by hand, when no URL gives it.
    """
    folder = request.folder
    for file in (folder.raw, folder.dataset):
        if file.is_file():
            return file
    url_sets = request.url_sets(INSTRUCTIONS_NAME, (INSTRUCTIONS,))
    reasons: list[str] = []
    for urls in url_sets:
        try:
            found = _download_instructions(urls, request, fetcher_of)
        except FetchError as error:
            reasons.append(str(error))
            continue
        folder.root.mkdir(parents=True, exist_ok=True)
        write_provenance(request, INSTRUCTIONS_NAME, urls[:1], [found])
        if found.fetched:
            found.path.rename(folder.raw)
        else:
            link_or_copy(found.path, folder.raw)
        clear_downloads(request, INSTRUCTIONS_NAME, url_sets)
        return folder.raw
    remove_empty(request, INSTRUCTIONS_NAME)
    raise FetchError(
        f"The instruction file cannot be fetched ({'; '.join(reasons)}): download it from {INSTRUCTIONS_BY_HAND} and "
        f"put it at {folder.raw}, or give its path with --archive {INSTRUCTIONS_NAME}=PATH."
    )


def fetch_source(name: str, request: FetchRequest, images: Collection[str], fetcher_of: FetcherOf) -> SourceImages:
    """Fetch a source's images into the data folder; `images` are the paths that records refer to.

    Images that are already there are not fetched again. Raises DataError when the user's archive is not this source.
    """
    source = request.source(name)
    wanted = wanted_names(source, images)
    if done := _already_there(source, request, wanted):
        return done
    url_sets = request.url_sets(name, source.distribution.url_sets)
    reasons: list[str] = []
    for urls in url_sets:
        try:
            paths = _download(urls, name, request, fetcher_of)
            _require_archives(paths, urls, name, request)
            counts = _lay_out(source, urls, paths, request, wanted)
        except FetchError as error:
            reasons.append(str(error))
            continue
        write_provenance(request, name, urls, paths, asdict(counts))
        clear_downloads(request, name, url_sets)
        return _counted(source, request, wanted)
    remove_empty(request, name)
    result = _counted(source, request, wanted)
    return result.model_copy(update={"by_hand": _advice(source, reasons)})


def _download_instructions(urls: UrlSet, request: FetchRequest, fetcher_of: FetcherOf) -> LocalPath:
    [found] = _download(urls[:1], INSTRUCTIONS_NAME, request, fetcher_of)
    try:
        read_records(found.path, no_fault)
    except DataError as error:
        if not found.fetched:
            raise
        clear_downloads(request, INSTRUCTIONS_NAME, [urls])
        raise FetchError(str(error)) from None
    return found


def _download(urls: UrlSet, name: str, request: FetchRequest, fetcher_of: FetcherOf) -> list[LocalPath]:
    def download(numbered: tuple[int, str]) -> LocalPath:
        number, url = numbered
        fetcher = fetcher_of(name if len(urls) == 1 else f"{name} {number}")
        return fetch_url(url, request.download(name, url), fetcher, request.endpoint_url)

    return list(map_in_threads(download, [*enumerate(urls, start=1)], FILES_AT_ONCE))


def map_in_threads(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Sequence[Result]:
    """Call `work` for all items in a number of threads; the first error is raised when all calls have ended.

    All calls may end: a good download is not thrown away because another one fails.
    """
    with ThreadPoolExecutor(threads) as pool:
        # each in a copy of the caller's context, which holds the current Prefect run
        futures = [pool.submit(copy_context().run, work, item) for item in items]
    return [future.result() for future in futures]


def _require_archives(paths: Sequence[LocalPath], urls: UrlSet, name: str, request: FetchRequest) -> None:
    for found, url in zip(paths, urls, strict=True):
        if found.fetched and found.path.is_file() and archive_kind(found.path) is None:
            # a page that asks to sign in comes with status 200
            clear_downloads(request, name, [(url,)])
            raise FetchError(f"{without_secrets(url)} gave a file that is not an archive, perhaps a web page")


def _lay_out(
    source: Source, urls: UrlSet, paths: Sequence[LocalPath], request: FetchRequest, wanted: Mapping[str, str]
) -> LaidOutCounts:
    try:
        return lay_out(source, [found.path for found in paths], request.folder.images, wanted)
    except NoRoomError:
        raise
    except DataError as error:
        if not all(found.fetched for found in paths):
            raise
        # the download is damaged or something else: download it again the next time
        clear_downloads(request, source.name, [urls])
        raise FetchError(str(error)) from None


def _already_there(source: Source, request: FetchRequest, wanted: Mapping[str, str]) -> SourceImages | None:
    """The source, when its images are in the data folder."""
    counted = _counted(source, request, wanted)
    if wanted:
        complete = counted.images and (not counted.missing or _exhausted(source, request, counted.images))
        return counted if complete else None
    return counted if counted.images and counted.images >= (source.distribution.images or 1) else None


def _exhausted(source: Source, request: FetchRequest, images: int) -> bool:
    """Whether the source was fetched from these URLs and gave just these images: fetching again adds nothing."""
    if not request.provenance_path(source.name).is_file():
        return False
    own = source.name in request.archives or request.is_custom(source.name)
    given = request.own_url_sets(source.name)[:1] if own else ()
    try:
        provenance = read_json(request.provenance_path(source.name))
        known = tuple(file["address"] for file in provenance["from"])
    except (DataError, KeyError, TypeError):
        # a damaged file is written again
        return False
    same_urls = all(tuple(map(without_secrets, urls)) == known for urls in given)
    return bool(provenance["images"] == images and same_urls)


def _counted(source: Source, request: FetchRequest, wanted: Mapping[str, str]) -> SourceImages:
    folder = request.folder.images / source.folder
    names = {path.relative_to(folder).as_posix() for path in files_of(folder)} if folder.is_dir() else set()
    missing = sum(name not in names for name in wanted.values())
    return SourceImages(name=source.name, images=len(names), expected=source.distribution.images, missing=missing)


def _advice(source: Source, reasons: Collection[str]) -> str:
    tried = f" (tried: {'; '.join(reasons)})" if reasons else ""
    return (
        f"{source.name}: download {source.distribution.by_hand}, and give the path of the archive or folder "
        f"with --archive {source.name}=PATH or data.archives.{source.name}=PATH{tried}"
    )
