"""What is asked for of a data folder's sources, and the folder in which downloads stand until they are laid out."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shutil import rmtree

from tasks.data.fetching.http_file import Patience
from tasks.data.fetching.urls import Place
from tasks.files import digest_of, sha256_of, write_json
from tasks.paths import DataFolder
from tasks.records import Value
from tasks.secret_addresses import without_secrets
from tasks.sources import Way


class FetchRequest(Value):
    """A data folder and what the user has or knows of its sources, by name."""

    root: Path
    archives: Mapping[str, str | Way] = {}
    mirrors: Mapping[str, str | Way] = {}
    endpoint_url: str | None = None
    patience: Patience = Patience()

    @property
    def folder(self) -> DataFolder:
        return DataFolder(self.root)

    def ways(self, name: str, origin: tuple[Way, ...]) -> tuple[Way, ...]:
        """The ways to have a source, in the order in which they are tried."""
        if name in self.archives:
            # what the user points to is what is wanted: nothing else is tried instead
            return (_as_way(self.archives[name]),)
        return (_as_way(self.mirrors[name]), *origin) if name in self.mirrors else origin

    def downloads(self, name: str) -> Path:
        """Where what is fetched for a source stands until it is laid out."""
        return self.root / "downloads" / name

    def download(self, name: str, address: str) -> Path:
        """The folder of one address: two of them may end in the same name."""
        return self.downloads(name) / digest_of(address)[:8]

    def note(self, name: str) -> Path:
        """What is kept of a source once its archives are gone: where they came from and what they were."""
        return self.downloads(name).with_suffix(".json")


def _as_way(given: str | Sequence[str]) -> Way:
    return (given,) if isinstance(given, str) else tuple(given)


class SourceImages(Value):
    """A source in the data folder; `by_hand` says what a person must do where it could not be had."""

    name: str
    images: int
    expected: int | None
    missing: int
    by_hand: str | None = None


def write_note(
    request: FetchRequest, name: str, way: Way, places: Sequence[Place], numbers: Mapping[str, int] | None = None
) -> None:
    """Record what a source was made of; the archives themselves go."""
    files = [
        {"address": without_secrets(address), "sha256": sha256_of(place.path), "size_bytes": place.path.stat().st_size}
        if place.path.is_file()
        else {"address": without_secrets(address)}
        for address, place in zip(way, places, strict=True)
    ]
    write_json(request.note(name), {"source": name, **(numbers or {}), "from": files})


def clear_downloads(request: FetchRequest, name: str, ways: Iterable[Way]) -> None:
    """Remove what was fetched from some addresses, whole or in part."""
    for way in ways:
        for address in way:
            rmtree(request.download(name, address), ignore_errors=True)
    remove_empty(request, name)


def remove_empty(request: FetchRequest, name: str) -> None:
    """Remove the folders of a source's downloads that hold nothing."""
    downloads = request.downloads(name)
    for folder in (*downloads.glob("*"), downloads, downloads.parent):
        with contextlib.suppress(OSError):
            folder.rmdir()
