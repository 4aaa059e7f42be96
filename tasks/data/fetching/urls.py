"""Get the file or folder behind a URL: https, s3, hf, file, and shares of Google Drive, MEGA and OneDrive."""

import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tasks.data.fetching.http_file import HttpFetcher, Link, ProgressCallback, matches_checksum
from tasks.data.fetching.partial_file import require_space
from tasks.errors import ConfigError, DataError, FetchError
from tasks.processes import ProcessFailed, run_streamed
from tasks.records import SHA256
from tasks.secret_addresses import resolved, scrubbed, without_secrets

if TYPE_CHECKING:
    from huggingface_hub.utils import tqdm

DRIVE, MEGA, ONEDRIVE = ("drive.google.com",), ("mega.nz", "mega.co.nz"), ("onedrive.live.com",)
# as in pip: https://host/file.zip#sha256=...
CHECKSUM = re.compile(r"#(sha256|md5)=([0-9a-fA-F]+)$")
LOCAL, REMOTE = ("", "file"), ("http", "https", "s3", "hf")
LINK_LIVES_S = 24 * 3600
MEGA_LIMIT_S = 24 * 3600


@dataclass(frozen=True)
class LocalPath:
    """A file or folder on this machine; `fetched` when it was downloaded and does not belong to the user."""

    path: Path
    fetched: bool


def fetch_url(url: str, folder: Path, fetcher: HttpFetcher, endpoint_url: str | None = None) -> LocalPath:
    """Download a URL into `folder`; a local path is used where it is.

    The URL may end with a checksum, `#sha256=...` or `#md5=...`; ${NAME} in it is read from the environment and never
    shown. Raises FetchError when the URL does not give the file, DataError when a local file has another checksum, and
    ConfigError for an unsupported URL.
    """
    require_url(url)
    plain = resolved(url)
    found = CHECKSUM.search(plain)
    checksum = f"{found[1]}:{found[2]}" if found else None
    link = Link(CHECKSUM.sub("", plain), without_secrets(url))
    scheme = urlsplit(link.url).scheme
    if scheme in LOCAL:
        return LocalPath(_local(link.url, checksum), fetched=False)
    fetchers: dict[str, Callable[[], Path]] = {
        "http": lambda: _http(link, folder, fetcher, checksum),
        "https": lambda: _http(link, folder, fetcher, checksum),
        "s3": lambda: _s3(link, folder, fetcher, checksum, endpoint_url),
        "hf": lambda: fetch_hub_file(link, folder, fetcher.on_progress),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = fetchers[scheme]()
    if checksum and path.is_file() and not matches_checksum(path, checksum):
        path.unlink()
        raise FetchError(f"{link.shown} does not match its checksum ({checksum}): ask its owner.")
    return LocalPath(path, fetched=True)


def require_url(url: str) -> None:
    """Raise ConfigError for an unsupported URL or an unset ${NAME} in it, and DataError for a missing local path."""
    plain = CHECKSUM.sub("", resolved(url))
    scheme = urlsplit(plain).scheme
    if scheme not in (*LOCAL, *REMOTE):
        raise ConfigError(f"{without_secrets(url)} is not a supported URL: use https, s3, hf or file, or a path.")
    if scheme in LOCAL and not (path := _path_of(plain)).exists():
        raise DataError(f"{path} does not exist: give the path of an archive or a folder.")


def _path_of(url: str) -> Path:
    parts = urlsplit(url)
    return Path(unquote(parts.path) if parts.scheme else url).expanduser().absolute()


def _local(url: str, checksum: str | None) -> Path:
    path = _path_of(url)
    if checksum and path.is_file() and not matches_checksum(path, checksum):
        raise DataError(f"{path} does not match its checksum ({checksum}): give the right file.")
    return path


def _http(link: Link, folder: Path, fetcher: HttpFetcher, checksum: str | None) -> Path:
    parts = urlsplit(link.url)
    if parts.hostname in DRIVE:
        return _drive(parse_qs(parts.query).get("id", [""])[0], folder, fetcher)
    if parts.hostname in MEGA:
        return _mega(link, folder)
    if parts.hostname in ONEDRIVE:
        link = replace(link, url=_onedrive_download(link.url))
    # from the URL as it is shown: the value of a ${NAME} in it may be secret
    name = PurePosixPath(unquote(urlsplit(link.shown).path)).name or "download"
    return fetcher.fetch(link, folder / name, checksum).path


def _onedrive_download(url: str) -> str:
    """The URL of the download button of a public share."""
    query = parse_qs(urlsplit(url).query)
    item, key = query.get("id", [""])[0], query.get("authkey", [""])[0]
    owner = item.partition("!")[0]
    return f"https://onedrive.live.com/download?cid={owner}&resid={quote(item)}&authkey={quote(key)}"


def _drive(file_id: str, folder: Path, fetcher: HttpFetcher) -> Path:
    import gdown
    import requests

    target = folder / f"{file_id}.download"
    if target.exists():
        return target

    def on_progress(done_bytes: int, total_bytes: int | None) -> None:
        require_space(target, (total_bytes or 0) - done_bytes)
        fetcher.on_progress(done_bytes, total_bytes)

    try:
        gdown.download(
            id=file_id, output=str(target), quiet=True, use_cookies=False, resume=True, progress=on_progress,
            timeout=(20, 60), retries=5,
        )  # fmt: skip
    except (gdown.DownloadError, requests.RequestException, OSError) as error:
        reason = " ".join(scrubbed(str(error)).split())[:200]
        raise FetchError(f"Google Drive does not give the file {file_id} ({reason}): try again later.") from None
    return target


def _mega(link: Link, folder: Path) -> Path:
    program = shutil.which("megadl")
    if program is None:
        raise FetchError("MEGA needs the program megadl, which is not installed: install megatools.")
    target = folder / "mega"
    target.mkdir(exist_ok=True)
    try:
        run_streamed(
            [program, "--path", str(target), link.url],
            lambda line: print(scrubbed(line), file=sys.stderr),
            timeout_s=MEGA_LIMIT_S,
        )
    except ProcessFailed as error:
        raise FetchError(
            f"megadl ended with {error.code} ({scrubbed(' '.join(error.lines[-2:]))}): try again later."
        ) from None
    return target


def _s3(link: Link, folder: Path, fetcher: HttpFetcher, checksum: str | None, endpoint_url: str | None) -> Path:
    """Download an object by a signed link, which can be resumed as any HTTP download."""
    from tasks.settings import StoreConfig
    from tasks.storage.s3_store import S3Store

    parts = urlsplit(link.url)
    key = unquote(parts.path).strip("/")
    signed = S3Store(parts.netloc, "", StoreConfig(endpoint_url=endpoint_url)).signed_link(key, LINK_LIVES_S)
    return fetcher.fetch(replace(link, url=signed), folder / PurePosixPath(key).name, checksum).path


HUB_FILE = re.compile(r"(?:(?P<kind>datasets|spaces)/)?(?P<repo>[^/@]+/[^/@]+)(?:@(?P<revision>[^/]+))?/(?P<file>.+)")
# the hub's ETag of a large file is its checksum


def fetch_hub_file(link: Link, folder: Path, on_progress: ProgressCallback) -> Path:
    """Download `hf://[datasets/]OWNER/NAME[@REVISION]/path` into `folder`, and verify the checksum that the hub gives.

    The hub's client resumes and retries. Raises ConfigError for a URL without a file, and FetchError when the download
    fails.
    """
    found = HUB_FILE.fullmatch(link.url.removeprefix("hf://"))
    if not found:
        raise ConfigError(f"{link.shown} does not name a file: write hf://datasets/OWNER/NAME/path/in/it.")
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    kind = {"datasets": "dataset", "spaces": "space"}.get(found["kind"])
    repo, file, revision = found["repo"], found["file"], found["revision"]
    bar = _callback_bar(on_progress)
    try:
        path = Path(hf_hub_download(repo, file, repo_type=kind, revision=revision, local_dir=folder, tqdm_class=bar))
        etag = get_hf_file_metadata(hf_hub_url(repo, file, repo_type=kind, revision=revision)).etag or ""
    except Exception as error:
        # the hub's client raises its own errors, those of httpx, and OSError
        reason = " ".join(scrubbed(str(error)).split())[:200]
        raise FetchError(f"{link.shown} cannot be fetched ({reason}): check the network and the name.") from None
    if SHA256.fullmatch(etag) and not matches_checksum(path, f"sha256:{etag}"):
        path.unlink()
        raise FetchError(f"{link.shown} does not match the hub's checksum (sha256 {etag}): try again.")
    return path


def _callback_bar(on_progress: ProgressCallback) -> "type[tqdm]":
    """A tqdm class for the hub's client that reports progress to a callback and shows nothing."""
    from huggingface_hub.utils import tqdm

    class CallbackBar(tqdm):
        def __init__(self, *arguments: object, **options: object):
            super().__init__(*arguments, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            on_progress(int(self.n), int(self.total) if self.total else None)
            return None

    return CallbackBar
