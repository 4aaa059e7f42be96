"""From an address to files on this disk: https, s3, hf, file, and shares of Google Drive, MEGA and OneDrive."""

import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tasks.data.fetching.http_file import FetchError, HttpFetcher, shown
from tasks.errors import ConfigError, DataError
from tasks.processes import ProcessFailed, run_streamed

DRIVE, MEGA, ONEDRIVE = ("drive.google.com",), ("mega.nz", "mega.co.nz"), ("onedrive.live.com",)
HUB_FILE = re.compile(r"(?:(?P<kind>datasets|spaces)/)?(?P<repo>[^/@]+/[^/@]+)(?:@(?P<revision>[^/]+))?/(?P<file>.+)")
LINK_LIVES_S = 24 * 3600
MEGA_LIMIT_S = 24 * 3600


@dataclass(frozen=True)
class Place:
    """A file or folder on this disk; `ours` when it was fetched and is not the user's own."""

    path: Path
    ours: bool


def obtain(address: str, folder: Path, fetcher: HttpFetcher, endpoint_url: str | None = None) -> Place:
    """Have what an address means; what is fetched goes below `folder`, what is here is used where it stands.

    Raises FetchError when it cannot be had, and ConfigError for an address of no known kind.
    """
    parts = urlsplit(address)
    if parts.scheme in ("", "file"):
        return _local(unquote(parts.path) if parts.scheme else address)
    ways: dict[str, Callable[[], Path]] = {
        "http": lambda: _http(address, folder, fetcher),
        "https": lambda: _http(address, folder, fetcher),
        "s3": lambda: _s3(address, folder, fetcher, endpoint_url),
        "hf": lambda: _hub(address, folder),
    }
    if parts.scheme not in ways:
        raise ConfigError(f"{shown(address)} is no address that can be fetched: use https, s3, hf or file, or a path.")
    folder.mkdir(parents=True, exist_ok=True)
    return Place(ways[parts.scheme](), ours=True)


def _local(name: str) -> Place:
    path = Path(name).expanduser().absolute()
    if not path.exists():
        raise DataError(f"{path} does not exist: give the path of an archive or a folder.")
    return Place(path, ours=False)


def _http(address: str, folder: Path, fetcher: HttpFetcher) -> Path:
    parts = urlsplit(address)
    if parts.hostname in DRIVE:
        return _drive(parse_qs(parts.query).get("id", [""])[0], folder)
    if parts.hostname in MEGA:
        return _mega(address, folder)
    if parts.hostname in ONEDRIVE:
        address = _onedrive_download(address)
    name = PurePosixPath(unquote(parts.path)).name or "download"
    return fetcher.fetch(address, folder / name).path


def _onedrive_download(address: str) -> str:
    """The address behind the download button of a public share."""
    query = parse_qs(urlsplit(address).query)
    item, key = query.get("id", [""])[0], query.get("authkey", [""])[0]
    owner = item.partition("!")[0]
    return f"https://onedrive.live.com/download?cid={owner}&resid={quote(item)}&authkey={quote(key)}"


def _drive(name: str, folder: Path) -> Path:
    import gdown
    import requests

    target = folder / f"{name}.download"
    if target.exists():
        return target
    try:
        gdown.download(
            id=name, output=str(target), quiet=True, use_cookies=False, resume=True, timeout=(20, 60), retries=5
        )
    except (gdown.DownloadError, requests.RequestException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FetchError(f"Google Drive does not give the file {name} ({reason}): try again later.") from None
    return target


def _mega(address: str, folder: Path) -> Path:
    program = shutil.which("megadl")
    if program is None:
        raise FetchError("MEGA needs the program megadl, which is not installed: install megatools.")
    place = folder / "mega"
    place.mkdir(exist_ok=True)
    try:
        run_streamed(
            [program, "--path", str(place), address],
            lambda line: print(line, file=sys.stderr),
            timeout_s=MEGA_LIMIT_S,
        )
    except ProcessFailed as error:
        raise FetchError(f"megadl ended with {error.code} ({' '.join(error.lines[-2:])}): try again later.") from None
    return place


def _hub(address: str, folder: Path) -> Path:
    found = HUB_FILE.fullmatch(address.removeprefix("hf://"))
    if not found:
        raise ConfigError(f"{address} is no file of a hub: write hf://datasets/OWNER/NAME/path/in/it.")
    from huggingface_hub import hf_hub_download

    kind = {"datasets": "dataset", "spaces": "space"}.get(found["kind"])
    try:
        path = hf_hub_download(
            found["repo"], found["file"], repo_type=kind, revision=found["revision"], local_dir=folder
        )
    except Exception as error:
        # the hub's client raises its own errors, httpx's and OSError alike
        reason = " ".join(str(error).split())[:200]
        raise FetchError(f"{address} cannot be fetched ({reason}): check the network and the name.") from None
    return Path(path)


def _s3(address: str, folder: Path, fetcher: HttpFetcher, endpoint_url: str | None) -> Path:
    """A signed link makes it a download like any other, which can be gone on with."""
    from tasks.storage.s3_store import S3Store

    parts = urlsplit(address)
    key = unquote(parts.path).strip("/")
    link = S3Store(parts.netloc, "", endpoint_url).signed_link(key, LINK_LIVES_S)
    return fetcher.fetch(link, folder / PurePosixPath(key).name).path
