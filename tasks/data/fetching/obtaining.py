"""Have a source: as the user gives it, from a mirror, or from its origin, whichever comes first; laid out and noted."""

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path

from tasks.data.archives.admission import NoRoomError
from tasks.data.archives.unpacking import archive_kind
from tasks.data.fetching.addresses import Place, obtain
from tasks.data.fetching.http_file import FetchError, HttpFetcher, shown
from tasks.data.fetching.many import at_once
from tasks.data.fetching.partial_file import record_of
from tasks.data.laying_out import LaidOut, files_of, lay_out, wanted_names
from tasks.data.records_file import read_records
from tasks.data.sources import INSTRUCTIONS, SOURCES, Source, Way
from tasks.errors import DataError
from tasks.files import link_or_copy, read_json, write_json
from tasks.paths import DataFolder
from tasks.records import Value

INSTRUCTIONS_NAME = "instructions"
FILES_AT_ONCE = 3


class FetchRequest(Value):
    """A data folder and what the user has or knows of its sources, by name."""

    root: Path
    archives: Mapping[str, str] = {}
    mirrors: Mapping[str, str] = {}
    endpoint_url: str | None = None

    @property
    def folder(self) -> DataFolder:
        return DataFolder(self.root)

    def downloads(self, name: str) -> Path:
        """Where what is fetched for a source stands until it is laid out."""
        return self.root / "downloads" / name


class SourceImages(Value):
    """A source in the data folder; `by_hand` says what a person must do where it could not be had."""

    name: str
    images: int
    expected: int | None
    missing: int
    by_hand: str | None = None


def obtain_instructions(request: FetchRequest, fetcher: HttpFetcher) -> Path:
    """The instruction file of the data folder, fetched when there is none.

    Raises FetchError, with what to do by hand, when it cannot be had.
    """
    folder = request.folder
    for file in (folder.raw, folder.dataset):
        if file.is_file():
            return file
    reasons: list[str] = []
    for way in _ways(request, INSTRUCTIONS_NAME, (INSTRUCTIONS,)):
        try:
            place = obtain(way[0], request.downloads(INSTRUCTIONS_NAME), fetcher, request.endpoint_url)
        except FetchError as error:
            reasons.append(str(error))
            continue
        read_records(place.path)
        folder.root.mkdir(parents=True, exist_ok=True)
        if place.ours:
            place.path.rename(folder.raw)
        else:
            link_or_copy(place.path, folder.raw)
        return folder.raw
    _remove_empty(request.downloads(INSTRUCTIONS_NAME))
    raise FetchError(
        f"The instruction file cannot be had ({'; '.join(reasons)}): download {INSTRUCTIONS[0]} "
        f"and put it at {folder.raw}."
    )


def obtain_source(name: str, request: FetchRequest, images: Collection[str], fetcher: HttpFetcher) -> SourceImages:
    """Have a source's images in the data folder; `images` are the paths that records refer to.

    What is there already is not fetched again. Raises DataError when what came is not this source.
    """
    source = SOURCES[name]
    wanted = wanted_names(source, images)
    if done := _there(source, request, wanted):
        return done
    reasons: list[str] = []
    for way in _ways(request, name, source.origin.ways):
        try:
            places = _have(way, request.downloads(name), fetcher, request.endpoint_url)
            laid = _lay_out(source, places, request.folder.images, wanted)
        except FetchError as error:
            reasons.append(str(error))
            continue
        write_json(_note(request, name), {"source": name, **asdict(laid), "from": [shown(place) for place in way]})
        _remove_ours(places)
        return _counted(source, request, wanted)
    _remove_empty(request.downloads(name))
    result = _counted(source, request, wanted)
    return result.model_copy(update={"by_hand": _instructions(source, reasons)})


def _ways(request: FetchRequest, name: str, origin: tuple[Way, ...]) -> tuple[Way, ...]:
    if name in request.archives:
        # what the user points to is what is wanted: nothing else is tried instead
        return ((request.archives[name],),)
    mirror = ((request.mirrors[name],),) if name in request.mirrors else ()
    return (*mirror, *origin)


def _have(way: Way, downloads: Path, fetcher: HttpFetcher, endpoint_url: str | None) -> list[Place]:
    places = list(at_once(lambda address: obtain(address, downloads, fetcher, endpoint_url), way, FILES_AT_ONCE))
    for place in places:
        if place.ours and place.path.is_file() and archive_kind(place.path) is None:
            # a page that asks to sign in comes with status 200
            _remove_ours([place])
            raise FetchError(f"what came from {', '.join(way)} is no archive, but perhaps a page for people")
    return places


def _lay_out(source: Source, places: Collection[Place], images: Path, wanted: Mapping[str, str]) -> LaidOut:
    try:
        return lay_out(source, [place.path for place in places], images, wanted)
    except NoRoomError:
        raise
    except DataError as error:
        if not all(place.ours for place in places):
            raise
        # what came is damaged or another thing: next time it is fetched anew
        _remove_ours(places)
        raise FetchError(str(error)) from None


def _remove_ours(places: Collection[Place]) -> None:
    for place in places:
        if place.ours:
            for path in [*files_of(place.path)] if place.path.is_dir() else [place.path, record_of(place.path)]:
                path.unlink(missing_ok=True)
            _remove_empty(place.path.parent)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()


def _note(request: FetchRequest, name: str) -> Path:
    return request.root / "downloads" / f"{name}.json"


def _there(source: Source, request: FetchRequest, wanted: Mapping[str, str]) -> SourceImages | None:
    """The source, when it stands in the data folder already."""
    counted = _counted(source, request, wanted)
    if wanted:
        # what an origin lacks of what records ask for, it will lack again
        known = _note(request, source.name)
        noted = read_json(known)["images"] if known.is_file() else None
        return counted if counted.images and (not counted.missing or noted == counted.images) else None
    return counted if counted.images and counted.images >= (source.origin.images or 1) else None


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
