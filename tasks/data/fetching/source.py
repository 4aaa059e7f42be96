"""Have a source: as the user gives it, from a mirror, or from its origin, whichever comes first; laid out and noted."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from tasks.data.archives.entries import NoRoomError
from tasks.data.archives.unpacking import archive_kind
from tasks.data.fetching.http_file import FetchError, HttpFetcher
from tasks.data.fetching.layout import LaidOut, files_of, lay_out, wanted_names
from tasks.data.fetching.request import FetchRequest, SourceImages, clear_downloads, remove_empty, write_note
from tasks.data.fetching.urls import Place, obtain
from tasks.data.records_file import read_records
from tasks.errors import DataError
from tasks.files import link_or_copy, read_json
from tasks.secret_addresses import without_secrets
from tasks.sources import INSTRUCTIONS, INSTRUCTIONS_BY_HAND, SOURCES, Source, Way

INSTRUCTIONS_NAME = "instructions"
FILES_AT_ONCE = 3

# makes a fetcher for a file, which is shown by that name
FetcherOf = Callable[[str], HttpFetcher]


def obtain_instructions(request: FetchRequest, fetcher_of: FetcherOf) -> Path:
    """The instruction file of the data folder, fetched when there is none.

    Raises FetchError, with what to do by hand, when it cannot be had.
    """
    folder = request.folder
    for file in (folder.raw, folder.dataset):
        if file.is_file():
            return file
    ways = request.ways(INSTRUCTIONS_NAME, (INSTRUCTIONS,))
    reasons: list[str] = []
    for way in ways:
        try:
            place = _have_instructions(way, request, fetcher_of)
        except FetchError as error:
            reasons.append(str(error))
            continue
        folder.root.mkdir(parents=True, exist_ok=True)
        write_note(request, INSTRUCTIONS_NAME, way[:1], [place])
        if place.ours:
            place.path.rename(folder.raw)
        else:
            link_or_copy(place.path, folder.raw)
        clear_downloads(request, INSTRUCTIONS_NAME, ways)
        return folder.raw
    remove_empty(request, INSTRUCTIONS_NAME)
    raise FetchError(
        f"The instruction file cannot be had ({'; '.join(reasons)}): download it from {INSTRUCTIONS_BY_HAND} and put "
        f"it at {folder.raw}, or point to it with --archive {INSTRUCTIONS_NAME}=PATH."
    )


def obtain_source(name: str, request: FetchRequest, images: Collection[str], fetcher_of: FetcherOf) -> SourceImages:
    """Have a source's images in the data folder; `images` are the paths that records refer to.

    What is there already is not fetched again. Raises DataError when what came is not this source.
    """
    source = SOURCES[name]
    wanted = wanted_names(source, images)
    if done := _there(source, request, wanted):
        return done
    ways = request.ways(name, source.origin.ways)
    reasons: list[str] = []
    for way in ways:
        try:
            places = _have(way, name, request, fetcher_of)
            _require_archives(places, way, name, request)
            laid = _lay_out(source, way, places, request, wanted)
        except FetchError as error:
            reasons.append(str(error))
            continue
        write_note(request, name, way, places, asdict(laid))
        clear_downloads(request, name, ways)
        return _counted(source, request, wanted)
    remove_empty(request, name)
    result = _counted(source, request, wanted)
    return result.model_copy(update={"by_hand": _instructions(source, reasons)})


def _have_instructions(way: Way, request: FetchRequest, fetcher_of: FetcherOf) -> Place:
    [place] = _have(way[:1], INSTRUCTIONS_NAME, request, fetcher_of)
    try:
        read_records(place.path, unfiltered=True)
    except DataError as error:
        if not place.ours:
            raise
        clear_downloads(request, INSTRUCTIONS_NAME, [way])
        raise FetchError(str(error)) from None
    return place


def _have(way: Way, name: str, request: FetchRequest, fetcher_of: FetcherOf) -> list[Place]:
    def have(numbered: tuple[int, str]) -> Place:
        number, address = numbered
        fetcher = fetcher_of(name if len(way) == 1 else f"{name} {number}")
        return obtain(address, request.download(name, address), fetcher, request.endpoint_url)

    return list(at_once(have, [*enumerate(way, start=1)], FILES_AT_ONCE))


def _require_archives(places: Sequence[Place], way: Way, name: str, request: FetchRequest) -> None:
    for place, address in zip(places, way, strict=True):
        if place.ours and place.path.is_file() and archive_kind(place.path) is None:
            # a page that asks to sign in comes with status 200
            clear_downloads(request, name, [(address,)])
            raise FetchError(f"what came from {without_secrets(address)} is no archive, but perhaps a page for people")


def _lay_out(
    source: Source, way: Way, places: Sequence[Place], request: FetchRequest, wanted: Mapping[str, str]
) -> LaidOut:
    try:
        return lay_out(source, [place.path for place in places], request.folder.images, wanted)
    except NoRoomError:
        raise
    except DataError as error:
        if not all(place.ours for place in places):
            raise
        # what came is damaged or another thing: next time it is fetched anew
        clear_downloads(request, source.name, [way])
        raise FetchError(str(error)) from None


def _there(source: Source, request: FetchRequest, wanted: Mapping[str, str]) -> SourceImages | None:
    """The source, when it stands in the data folder already."""
    counted = _counted(source, request, wanted)
    if wanted:
        return counted if counted.images and (not counted.missing or _tried(source, request, counted.images)) else None
    return counted if counted.images and counted.images >= (source.origin.images or 1) else None


def _tried(source: Source, request: FetchRequest, images: int) -> bool:
    """Whether these images are all that the place holds: what it lacked of what records ask for, it lacks again."""
    if not request.note(source.name).is_file():
        return False
    given = request.ways(source.name, ()) if source.name in request.archives else ()
    try:
        note = read_json(request.note(source.name))
        known = tuple(file["address"] for file in note["from"])
    except (DataError, KeyError, TypeError):
        # damaged: it is written anew
        return False
    return bool(note["images"] == images and all(tuple(map(without_secrets, way)) == known for way in given))


def _counted(source: Source, request: FetchRequest, wanted: Mapping[str, str]) -> SourceImages:
    folder = request.folder.images / source.folder
    names = {path.relative_to(folder).as_posix() for path in files_of(folder)} if folder.is_dir() else set()
    missing = sum(name not in names for name in wanted.values())
    return SourceImages(name=source.name, images=len(names), expected=source.origin.images, missing=missing)


def _instructions(source: Source, reasons: Collection[str]) -> str:
    tried = f" (tried: {'; '.join(reasons)})" if reasons else ""
    return (
        f"{source.name}: download {source.origin.by_hand}, and point to the archive or the folder as it is, "
        f"with --archive {source.name}=PATH or data.archives.{source.name}=PATH{tried}"
    )


Item = TypeVar("Item")
Result = TypeVar("Result")


def at_once(work: Callable[[Item], Result], items: Iterable[Item], number: int) -> Sequence[Result]:
    """Do `work` for all items, `number` at a time; the first error is raised when all have ended.

    All are let end: a download that goes on well is not thrown away because another fails.
    """
    with ThreadPoolExecutor(number) as pool:
        # each in a copy of the caller's context, which says whose run this is
        futures = [pool.submit(copy_context().run, work, item) for item in items]
    return [future.result() for future in futures]
