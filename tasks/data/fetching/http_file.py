"""Fetch a file by HTTP: on from where it stopped, again after a pause when a server fails, whole or not at all."""

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tasks.data.fetching.http_responses import Meaning, meaning_of
from tasks.data.fetching.partial_file import PartialFile, Remote, opened_part, record_of, require_space
from tasks.errors import DataError, FetchError
from tasks.files import read_json
from tasks.secret_addresses import scrubbed, without_secrets

Progress = Callable[[int, int | None], None]
# they log each address and each answer's headers, signed addresses among them
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True)
class Link:
    """An address to ask, which may hold secrets, and how it is shown and recorded."""

    url: str = field(repr=False)
    shown: str

    @classmethod
    def to(cls, url: str) -> "Link":
        """A link that is shown without what may be secret in its address."""
        return cls(url, without_secrets(url))


@dataclass(frozen=True)
class Patience:
    """How long to bear with a server: failures in a row that bring nothing, fewer where nobody answers, and seconds."""

    failures: int = 8
    unreachable: int = 3
    connect_s: float = 20
    stall_s: float = 45
    first_pause_s: float = 1
    longest_pause_s: float = 60


@dataclass(frozen=True)
class Fetched:
    """A file that was fetched, now or before."""

    path: Path
    sha256: str
    size_bytes: int
    new: bool


@dataclass(frozen=True)
class Outcome:
    """What came of one request: the whole file, or a reason to ask again, or neither: there is more."""

    done: bool = False
    reason: str = ""
    wait_s: float | None = None
    unreachable: bool = False


def no_progress(done_bytes: int, total_bytes: int | None) -> None:
    """Tell nobody."""


class HttpFetcher:
    """Fetches files; `wait` pauses for some seconds."""

    def __init__(
        self,
        patience: Patience | None = None,
        on_progress: Progress = no_progress,
        wait: Callable[[float], None] = time.sleep,
    ):
        self.patience = patience or Patience()
        self.on_progress, self._wait = on_progress, wait

    def fetch(self, address: str | Link, target: Path, checksum: str | None = None) -> Fetched:
        """Fetch a file to `target`; `checksum` is `sha256:...` or `md5:...` where it is known.

        Beside the file `<name>.fetched.json` records what it is; a file with such a record is not fetched again.
        Raises FetchError when the server refuses, fails too often or gives other content than the checksum's, and
        DataError when the disk is too small or another process fetches the same.
        """
        link = address if isinstance(address, Link) else Link.to(address)
        if done := fetched_before(target, link):
            return done
        if target.exists():
            raise DataError(f"{target} exists and was not fetched from {link.shown}: move it away.")
        with opened_part(target) as part:
            self._complete(link, part, checksum)
            sha256, size_bytes = _hash(part.path, "sha256"), part.size_bytes
            # a server that lied about the length told of less
            self.on_progress(size_bytes, size_bytes)
            part.finish({"url": link.shown, "sha256": sha256, "size_bytes": size_bytes})
        return Fetched(target, sha256, size_bytes, new=True)

    def _complete(self, link: Link, part: PartialFile, checksum: str | None) -> None:
        self._fill(link, part)
        if checksum and not matches(part.path, checksum):
            # once more from the start: bytes may have been mixed up on the way
            part.discard()
            self._fill(link, part)
            if not matches(part.path, checksum):
                part.discard()
                raise FetchError(f"{link.shown} holds other content than expected ({checksum}): tell who keeps it.")

    def _fill(self, link: Link, part: PartialFile) -> None:
        """Ask until the part is the whole file."""
        failures, most_bytes = 0, part.size_bytes
        while True:
            outcome = self._try(link, part)
            if outcome.done:
                return
            # whoever gets further, however slowly, may go on
            failures = 0 if part.size_bytes > most_bytes else failures + 1
            most_bytes = max(most_bytes, part.size_bytes)
            unreachable = outcome.unreachable and not most_bytes
            if failures > (self.patience.unreachable if unreachable else self.patience.failures):
                raise FetchError(
                    f"{link.shown} cannot be fetched ({outcome.reason}): try again later; what has come is kept."
                )
            if outcome.reason:
                self._wait(outcome.wait_s if outcome.wait_s is not None else self._pause_s(failures))

    def _pause_s(self, failures: int) -> float:
        return min(self.patience.first_pause_s * 2 ** max(failures - 1, 0), self.patience.longest_pause_s)

    def _try(self, link: Link, part: PartialFile) -> Outcome:
        try:
            meaning = self._ask(link, part)
        except httpx.TransportError as error:
            unreachable = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
            return Outcome(reason=scrubbed(str(error)) or type(error).__name__, unreachable=unreachable)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise FetchError(f"{link.shown} cannot be fetched ({scrubbed(str(error))}): check the address.") from None
        if meaning.step == "again":
            return Outcome(reason="the server is busy or failing", wait_s=meaning.wait_s)
        return Outcome(done=meaning.step == "complete")

    def _ask(self, link: Link, part: PartialFile) -> Meaning:
        """One request; what its body holds is kept."""
        known = part.resumable(link.shown)
        offset = part.size_bytes if known else 0
        headers = {"Accept-Encoding": "identity", "User-Agent": "rsvlm"}
        if known and known.validator:
            headers |= {"Range": f"bytes={offset}-", "If-Range": known.validator}
        timeout = httpx.Timeout(self.patience.stall_s, connect=self.patience.connect_s)
        # a new connection each time: behind a lying length, an old one holds the rest of the lie
        with (
            httpx.Client(timeout=timeout, follow_redirects=True) as client,
            client.stream("GET", link.url, headers=headers) as response,
        ):
            meaning = meaning_of(response.status_code, response.headers, link.shown, known, offset)
            if meaning.step == "refused":
                what = "its login" if response.status_code in (401, 403) else "the address"
                raise FetchError(f"{link.shown} is refused with status {response.status_code}: check {what}.")
            if meaning.step == "afresh":
                part.discard()
            if meaning.step == "whole" and meaning.remote:
                part.begin(meaning.remote)
            return self._keep(response, part, meaning.remote) if meaning.remote else meaning

    def _keep(self, response: httpx.Response, part: PartialFile, remote: Remote) -> Meaning:
        if remote.size_bytes is not None:
            require_space(part.target, remote.size_bytes - part.size_bytes)
        for chunk in response.iter_raw():
            part.append(chunk)
            self.on_progress(part.size_bytes, remote.size_bytes)
        # a validator lets us ask what follows: only then is it sure that this was all
        return Meaning("rest") if remote.validator else Meaning("complete")


def fetched_before(target: Path, link: Link) -> Fetched | None:
    """The file at `target`, when its record says that it was fetched from this address and its size is right."""
    record = record_of(target)
    if not (target.is_file() and record.is_file()):
        return None
    told = read_json(record)
    if told.get("url") != link.shown or told.get("size_bytes") != target.stat().st_size:
        return None
    return Fetched(target, told["sha256"], told["size_bytes"], new=False)


def matches(path: Path, checksum: str) -> bool:
    """Whether a file has a checksum, `sha256:...` or `md5:...`."""
    algorithm, _, digest = checksum.partition(":")
    return _hash(path, algorithm) == digest.lower()


def _hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
