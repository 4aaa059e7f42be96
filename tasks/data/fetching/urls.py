"""From an address to files on this disk: https, s3, hf, file, and shares of Google Drive, MEGA and OneDrive."""

import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tasks.data.fetching.http_file import FetchError, HttpFetcher, Link, Progress, matches
from tasks.data.fetching.partial_file import require_space
from tasks.errors import ConfigError, DataError
from tasks.processes import ProcessFailed, run_streamed
from tasks.secret_addresses import resolved, scrubbed, without_secrets

DRIVE, MEGA, ONEDRIVE = ("drive.google.com",), ("mega.nz", "mega.co.nz"), ("onedrive.live.com",)
# as pip has it: https://host/file.zip#sha256=...
CHECKSUM = re.compile(r"#(sha256|md5)=([0-9a-fA-F]+)$")
LOCAL, REMOTE = ("", "file"), ("http", "https", "s3", "hf")
LINK_LIVES_S = 24 * 3600
MEGA_LIMIT_S = 24 * 3600


@dataclass(frozen=True)
class Place:
    """A file or folder on this disk; `ours` when it was fetched and is not the user's own."""

    path: Path
    ours: bool


def obtain(address: str, folder: Path, fetcher: HttpFetcher, endpoint_url: str | None = None) -> Place:
    """Have what an address means; what is fetched goes below `folder`, what is here is used where it stands.

    A checksum may stand behind the address, as `#sha256=...` or `#md5=...`; ${NAME} in it is read from the environment
    and shown nowhere. Raises FetchError when it cannot be had,
    DataError when what is here has another checksum, and ConfigError for an address of no known kind.
    """
    require_address(address)
    url = resolved(address)
    found = CHECKSUM.search(url)
    checksum = f"{found[1]}:{found[2]}" if found else None
    link = Link(CHECKSUM.sub("", url), without_secrets(address))
    scheme = urlsplit(link.url).scheme
    if scheme in LOCAL:
        return Place(_local(link.url, checksum), ours=False)
    ways: dict[str, Callable[[], Path]] = {
        "http": lambda: _http(link, folder, fetcher, checksum),
        "https": lambda: _http(link, folder, fetcher, checksum),
        "s3": lambda: _s3(link, folder, fetcher, checksum, endpoint_url),
        "hf": lambda: fetch_hub_file(link, folder, fetcher.on_progress),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = ways[scheme]()
    if checksum and path.is_file() and not matches(path, checksum):
        path.unlink()
        raise FetchError(f"{link.shown} holds other content than expected ({checksum}): tell who keeps it.")
    return Place(path, ours=True)


def require_address(address: str) -> None:
    """Raise ConfigError for an address of no known kind or that refers to what is not set, and DataError for a path at
    which nothing stands.
    """
    url = CHECKSUM.sub("", resolved(address))
    scheme = urlsplit(url).scheme
    if scheme not in (*LOCAL, *REMOTE):
        raise ConfigError(
            f"{without_secrets(address)} is no address that can be fetched: use https, s3, hf or file, or a path."
        )
    if scheme in LOCAL and not (path := _path_of(url)).exists():
        raise DataError(f"{path} does not exist: give the path of an archive or a folder.")


def _path_of(address: str) -> Path:
    parts = urlsplit(address)
    return Path(unquote(parts.path) if parts.scheme else address).expanduser().absolute()


def _local(address: str, checksum: str | None) -> Path:
    path = _path_of(address)
    if checksum and path.is_file() and not matches(path, checksum):
        raise DataError(f"{path} holds other content than expected ({checksum}): give the right file.")
    return path


def _http(link: Link, folder: Path, fetcher: HttpFetcher, checksum: str | None) -> Path:
    parts = urlsplit(link.url)
    if parts.hostname in DRIVE:
        return _drive(parse_qs(parts.query).get("id", [""])[0], folder, fetcher)
    if parts.hostname in MEGA:
        return _mega(link, folder)
    if parts.hostname in ONEDRIVE:
        link = replace(link, url=_onedrive_download(link.url))
    # by the address as it is shown: a reference in it is no name, and what it stands for may be secret
    name = PurePosixPath(unquote(urlsplit(link.shown).path)).name or "download"
    return fetcher.fetch(link, folder / name, checksum).path


def _onedrive_download(address: str) -> str:
    """The address behind the download button of a public share."""
    query = parse_qs(urlsplit(address).query)
    item, key = query.get("id", [""])[0], query.get("authkey", [""])[0]
    owner = item.partition("!")[0]
    return f"https://onedrive.live.com/download?cid={owner}&resid={quote(item)}&authkey={quote(key)}"


def _drive(name: str, folder: Path, fetcher: HttpFetcher) -> Path:
    import gdown
    import requests

    target = folder / f"{name}.download"
    if target.exists():
        return target

    def on_progress(done_bytes: int, total_bytes: int | None) -> None:
        require_space(target, (total_bytes or 0) - done_bytes)
        fetcher.on_progress(done_bytes, total_bytes)

    try:
        gdown.download(
            id=name, output=str(target), quiet=True, use_cookies=False, resume=True, progress=on_progress,
            timeout=(20, 60), retries=5,
        )  # fmt: skip
    except (gdown.DownloadError, requests.RequestException, OSError) as error:
        reason = " ".join(scrubbed(str(error)).split())[:200]
        raise FetchError(f"Google Drive does not give the file {name} ({reason}): try again later.") from None
    return target


def _mega(link: Link, folder: Path) -> Path:
    program = shutil.which("megadl")
    if program is None:
        raise FetchError("MEGA needs the program megadl, which is not installed: install megatools.")
    place = folder / "mega"
    place.mkdir(exist_ok=True)
    try:
        run_streamed(
            [program, "--path", str(place), link.url],
            lambda line: print(scrubbed(line), file=sys.stderr),
            timeout_s=MEGA_LIMIT_S,
        )
    except ProcessFailed as error:
        raise FetchError(
            f"megadl ended with {error.code} ({scrubbed(' '.join(error.lines[-2:]))}): try again later."
        ) from None
    return place


def _s3(link: Link, folder: Path, fetcher: HttpFetcher, checksum: str | None, endpoint_url: str | None) -> Path:
    """A signed link makes it a download like any other, which can be gone on with."""
    from tasks.settings import StoreConfig
    from tasks.storage.s3_store import S3Store

    parts = urlsplit(link.url)
    key = unquote(parts.path).strip("/")
    signed = S3Store(parts.netloc, "", StoreConfig(endpoint_url=endpoint_url)).signed_link(key, LINK_LIVES_S)
    return fetcher.fetch(replace(link, url=signed), folder / PurePosixPath(key).name, checksum).path


HUB_FILE = re.compile(r"(?:(?P<kind>datasets|spaces)/)?(?P<repo>[^/@]+/[^/@]+)(?:@(?P<revision>[^/]+))?/(?P<file>.+)")
# the hub's ETag of a large file is its checksum
SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch_hub_file(link: Link, folder: Path, on_progress: Progress) -> Path:
    """Fetch `hf://[datasets/]OWNER/NAME[@REVISION]/path` below `folder`, and verify it where the hub tells a checksum.

    Raises ConfigError for an address that names no file, and FetchError when it cannot be had.
    """
    found = HUB_FILE.fullmatch(link.url.removeprefix("hf://"))
    if not found:
        raise ConfigError(f"{link.shown} is no file of a hub: write hf://datasets/OWNER/NAME/path/in/it.")
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    kind = {"datasets": "dataset", "spaces": "space"}.get(found["kind"])
    place: dict[str, Any] = {"repo_type": kind, "revision": found["revision"]}
    try:
        path = Path(
            hf_hub_download(
                found["repo"], found["file"], local_dir=folder, tqdm_class=_watched_bar(on_progress), **place
            )
        )
        etag = get_hf_file_metadata(hf_hub_url(found["repo"], found["file"], **place)).etag or ""
    except Exception as error:
        # the hub's client raises its own errors, httpx's and OSError alike
        reason = " ".join(scrubbed(str(error)).split())[:200]
        raise FetchError(f"{link.shown} cannot be fetched ({reason}): check the network and the name.") from None
    if SHA256.fullmatch(etag) and not matches(path, f"sha256:{etag}"):
        path.unlink()
        raise FetchError(f"{link.shown} came with other content than the hub tells (sha256 {etag}): try again.")
    return path


def _watched_bar(on_progress: Progress) -> Any:
    """A bar in the shape that the hub's client knows, which tells its progress and shows nothing."""
    from huggingface_hub.utils import tqdm

    class Watched(tqdm):
        def __init__(self, *arguments: Any, **options: Any):
            super().__init__(*arguments, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            on_progress(int(self.n), int(self.total) if self.total else None)
            return None

    return Watched
