"""What to fetch into a data folder and from where, and the folders in which downloads stay until they are laid out."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shutil import rmtree

from tasks.data.fetching.http_file import RetryPolicy
from tasks.data.fetching.urls import LocalPath
from tasks.files import digest_of, sha256_of, write_json
from tasks.paths import DataFolder
from tasks.records import Value
from tasks.secret_addresses import without_secrets
from tasks.settings import CustomSource, DataConfig
from tasks.sources import SOURCES, Source, UrlSet


class FetchRequest(Value):
    """A data folder, the user's own sources, and the user's archives and mirrors by source name."""

    root: Path
    custom_sources: tuple[CustomSource, ...] = ()
    archives: Mapping[str, str | UrlSet] = {}
    mirrors: Mapping[str, str | UrlSet] = {}
    endpoint_url: str | None = None
    retry_policy: RetryPolicy = RetryPolicy()

    @property
    def folder(self) -> DataFolder:
        """The paths of the data folder."""
        return DataFolder(self.root)

    def source(self, name: str) -> Source:
        """A source of the user's own, or of the registry, by its name."""
        return next((one.source for one in self.custom_sources if one.name == name), None) or SOURCES[name]

    def own_url_sets(self, name: str) -> tuple[UrlSet, ...]:
        """The URL sets that the user gives for a source: archives, mirrors or the images of a custom source."""
        return self.url_sets(name, self.source(name).distribution.url_sets if self.is_custom(name) else ())

    def is_custom(self, name: str) -> bool:
        """Whether a source is the user's own."""
        return any(source.name == name for source in self.custom_sources)

    def url_sets(self, name: str, published: tuple[UrlSet, ...]) -> tuple[UrlSet, ...]:
        """The URL sets of a source, in the order in which they are tried."""
        if name in self.archives:
            # the user's own archive is never replaced by another one
            return (_as_url_set(self.archives[name]),)
        return (_as_url_set(self.mirrors[name]), *published) if name in self.mirrors else published

    def downloads(self, name: str) -> Path:
        """The folder for a source's downloads until they are laid out."""
        return self.root / "downloads" / name

    def download(self, name: str, url: str) -> Path:
        """The folder for one URL: two of them may end in the same file name."""
        return self.downloads(name) / digest_of(url)[:8]

    def provenance_path(self, name: str) -> Path:
        """The path of a source's provenance, which is kept after its archives are removed."""
        return self.downloads(name).with_suffix(".json")


def request_of(root: Path, config: DataConfig, endpoint_url: str | None = None) -> FetchRequest:
    """What the settings say about fetching into a data folder."""
    return FetchRequest(
        root=root.absolute(),
        custom_sources=config.custom_sources,
        archives=config.archives,
        mirrors=config.mirrors,
        endpoint_url=endpoint_url,
    )


def _as_url_set(given: str | Sequence[str]) -> UrlSet:
    return (given,) if isinstance(given, str) else tuple(given)


class SourceImages(Value):
    """The number of a source's images in the data folder; `by_hand` says how to get the rest manually."""

    name: str
    images: int
    expected: int | None
    missing: int
    by_hand: str | None = None


def write_provenance(
    request: FetchRequest,
    name: str,
    urls: UrlSet,
    paths: Sequence[LocalPath],
    numbers: Mapping[str, int] | None = None,
) -> None:
    """Record the URLs of a source, and SHA-256 and size in bytes of its archives."""
    files = [
        {"address": without_secrets(url), "sha256": sha256_of(found.path), "size_bytes": found.path.stat().st_size}
        if found.path.is_file()
        else {"address": without_secrets(url)}
        for url, found in zip(urls, paths, strict=True)
    ]
    write_json(request.provenance_path(name), {"source": name, **(numbers or {}), "from": files})


def clear_downloads(request: FetchRequest, name: str, url_sets: Iterable[UrlSet]) -> None:
    """Remove the complete and partial downloads of some URLs."""
    for urls in url_sets:
        for url in urls:
            rmtree(request.download(name, url), ignore_errors=True)
    remove_empty(request, name)


def remove_empty(request: FetchRequest, name: str) -> None:
    """Remove the empty folders of a source's downloads."""
    downloads = request.downloads(name)
    for folder in (*downloads.glob("*"), downloads, downloads.parent):
        with contextlib.suppress(OSError):
            folder.rmdir()
