"""Download a file by HTTP: resume partial downloads, retry with pauses, and publish complete files only."""

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tasks.data.fetching.http_responses import ResponseAction, action_for
from tasks.data.fetching.partial_file import PartialFile, Remote, open_part, record_path, require_space
from tasks.errors import DataError, FetchError
from tasks.files import read_json
from tasks.secret_addresses import scrubbed, without_secrets

ProgressCallback = Callable[[int, int | None], None]
# they log every URL and all response headers, including signed URLs
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True)
class Link:
    """A URL, which may hold secrets, and the form in which it is shown and recorded."""

    url: str = field(repr=False)
    shown: str

    @classmethod
    def to(cls, url: str) -> "Link":
        """A link that is shown without the possible secrets in its URL."""
        return cls(url, without_secrets(url))


@dataclass(frozen=True)
class RetryPolicy:
    """Limits on retries: consecutive failures without progress, fewer while unreachable; times in seconds."""

    failures: int = 8
    unreachable: int = 3
    connect_s: float = 20
    stall_s: float = 45
    first_pause_s: float = 1
    longest_pause_s: float = 60


@dataclass(frozen=True)
class FetchedFile:
    """A complete file; `new` when this call downloaded it."""

    path: Path
    sha256: str
    size_bytes: int
    new: bool


@dataclass(frozen=True)
class Attempt:
    """The result of one request: done, or a reason to retry; neither when more bytes are to be requested."""

    done: bool = False
    reason: str = ""
    wait_s: float | None = None
    unreachable: bool = False


def ignore_progress(done_bytes: int, total_bytes: int | None) -> None:
    """Report nothing."""


class HttpFetcher:
    """Downloads files; `wait` sleeps for a number of seconds."""

    def __init__(
        self,
        retry_policy: RetryPolicy | None = None,
        on_progress: ProgressCallback = ignore_progress,
        wait: Callable[[float], None] = time.sleep,
    ):
        self.retry_policy = retry_policy or RetryPolicy()
        self.on_progress, self._wait = on_progress, wait

    def fetch(self, address: str | Link, target: Path, checksum: str | None = None) -> FetchedFile:
        """Download a file to `target`; `checksum` is `sha256:...` or `md5:...` where it is known.

        `<name>.fetched.json` next to the file records its URL, size and SHA-256; a file with this record is not
        downloaded again. Raises FetchError when the server refuses or fails too often, or the content does not match
        the checksum, and DataError when the disk is too small or another process downloads the same file.
        """
        link = address if isinstance(address, Link) else Link.to(address)
        if done := fetched_before(target, link):
            return done
        if target.exists():
            raise DataError(f"{target} exists and was not fetched from {link.shown}: move it away.")
        with open_part(target) as part:
            self._complete(link, part, checksum)
            sha256, size_bytes = _hash(part.path, "sha256"), part.size_bytes
            # the last progress may be wrong where the server gave a wrong length
            self.on_progress(size_bytes, size_bytes)
            part.finish({"url": link.shown, "sha256": sha256, "size_bytes": size_bytes})
        return FetchedFile(target, sha256, size_bytes, new=True)

    def _complete(self, link: Link, part: PartialFile, checksum: str | None) -> None:
        self._fill(link, part)
        if checksum and not matches_checksum(part.path, checksum):
            # once more from the start: the transfer may have been corrupted
            part.discard()
            self._fill(link, part)
            if not matches_checksum(part.path, checksum):
                part.discard()
                raise FetchError(f"{link.shown} does not match its checksum ({checksum}): ask its owner.")

    def _fill(self, link: Link, part: PartialFile) -> None:
        """Request until the part is the complete file."""
        failures, most_bytes = 0, part.size_bytes
        while True:
            attempt = self._try(link, part)
            if attempt.done:
                return
            # any progress, however slow, resets the count
            failures = 0 if part.size_bytes > most_bytes else failures + 1
            most_bytes = max(most_bytes, part.size_bytes)
            unreachable = attempt.unreachable and not most_bytes
            if failures > (self.retry_policy.unreachable if unreachable else self.retry_policy.failures):
                raise FetchError(
                    f"{link.shown} cannot be fetched ({attempt.reason}): try again later; what was fetched is kept."
                )
            if attempt.reason:
                self._wait(attempt.wait_s if attempt.wait_s is not None else self._pause_s(failures))

    def _pause_s(self, failures: int) -> float:
        return min(self.retry_policy.first_pause_s * 2 ** max(failures - 1, 0), self.retry_policy.longest_pause_s)

    def _try(self, link: Link, part: PartialFile) -> Attempt:
        try:
            action = self._request(link, part)
        except httpx.TransportError as error:
            unreachable = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
            return Attempt(reason=scrubbed(str(error)) or type(error).__name__, unreachable=unreachable)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise FetchError(f"{link.shown} cannot be fetched ({scrubbed(str(error))}): check the URL.") from None
        if action.step == "retry":
            return Attempt(reason="the server is busy or failing", wait_s=action.wait_s)
        return Attempt(done=action.step == "complete")

    def _request(self, link: Link, part: PartialFile) -> ResponseAction:
        """Send one request, and keep the bytes of its body."""
        known = part.resumable(link.shown)
        offset = part.size_bytes if known else 0
        headers = {"Accept-Encoding": "identity", "User-Agent": "rsvlm"}
        if known and known.validator:
            headers |= {"Range": f"bytes={offset}-", "If-Range": known.validator}
        timeout = httpx.Timeout(self.retry_policy.stall_s, connect=self.retry_policy.connect_s)
        # a new connection each time: after a wrong length, the old one still holds the rest of the body
        with (
            httpx.Client(timeout=timeout, follow_redirects=True) as client,
            client.stream("GET", link.url, headers=headers) as response,
        ):
            action = action_for(response.status_code, response.headers, link.shown, known, offset)
            if action.step == "refused":
                what = "its login" if response.status_code in (401, 403) else "the URL"
                raise FetchError(f"{link.shown} is refused with status {response.status_code}: check {what}.")
            if action.step == "restart":
                part.discard()
            if action.step == "replace" and action.remote:
                part.begin(action.remote)
            return self._append(response, part, action.remote) if action.remote else action

    def _append(self, response: httpx.Response, part: PartialFile, remote: Remote) -> ResponseAction:
        if remote.size_bytes is not None:
            require_space(part.target, remote.size_bytes - part.size_bytes)
        for chunk in response.iter_raw():
            part.append(chunk)
            self.on_progress(part.size_bytes, remote.size_bytes)
        # with a validator the next request asks for the bytes that follow: only that proves that these were all
        return ResponseAction("append") if remote.validator else ResponseAction("complete")


def fetched_before(target: Path, link: Link) -> FetchedFile | None:
    """The file at `target`, if its record names this URL and its size is right."""
    path = record_path(target)
    if not (target.is_file() and path.is_file()):
        return None
    record = read_json(path)
    if record.get("url") != link.shown or record.get("size_bytes") != target.stat().st_size:
        return None
    return FetchedFile(target, record["sha256"], record["size_bytes"], new=False)


def matches_checksum(path: Path, checksum: str) -> bool:
    """Whether a file has this checksum, `sha256:...` or `md5:...`."""
    algorithm, _, digest = checksum.partition(":")
    return _hash(path, algorithm) == digest.lower()


def _hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
