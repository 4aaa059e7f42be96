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
from tasks.sources import UrlSet


class FetchRequest(Value):
    """A data folder, and the user's archives and mirrors by source name."""

    root: Path
    archives: Mapping[str, str | UrlSet] = {}
    mirrors: Mapping[str, str | UrlSet] = {}
    endpoint_url: str | None = None
    retry_policy: RetryPolicy = RetryPolicy()

    @property
    def folder(self) -> DataFolder:
        """The paths of the data folder."""
        return DataFolder(self.root)

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
