"""What a server's answer to a request for (the rest of) a file means."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

from tasks.data.fetching.partial_file import Remote

Step = Literal["whole", "rest", "complete", "afresh", "again", "refused"]

LONGEST_WAIT_S = 600.0
# answers that may be another one in a moment
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
OK, PARTIAL, RANGE_REFUSED = 200, 206, 416
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass(frozen=True)
class Meaning:
    """What to do with an answer.

    whole: its body is the file; rest: its body goes on where the part ends; complete: there is nothing more;
    afresh: the part is of another file, forget it; again: ask later, after `wait_s` where it is given;
    refused: it will not be had here.
    """

    step: Step
    remote: Remote | None = None
    wait_s: float | None = None


def meaning_of(status: int, headers: Mapping[str, str], url: str, known: Remote | None, offset: int) -> Meaning:
    """Read an answer to a request for the bytes from `offset` on of the file `known`, or for all where it is None."""
    remote = Remote(url, headers.get("etag"), headers.get("last-modified"), _total(status, headers))
    if status == OK:
        # asked for what follows the end, a server without ranges sends the whole file again
        had = known is not None and known.size_bytes == remote.size_bytes == offset
        return Meaning("complete") if had else Meaning("whole", remote)
    if status == PARTIAL and known:
        return Meaning("rest", remote) if _goes_on(headers, remote, known, offset) else Meaning("afresh")
    if status == RANGE_REFUSED and known:
        # here a server tells how long the file is, also one that lied before
        size_bytes = known.size_bytes if remote.size_bytes is None else remote.size_bytes
        return Meaning("complete" if size_bytes == offset and _same(remote, known) else "afresh")
    if status in PASSING:
        return Meaning("again", wait_s=_asked_wait(headers))
    return Meaning("refused")


def _total(status: int, headers: Mapping[str, str]) -> int | None:
    if status == OK:
        length = headers.get("content-length", "")
        return int(length) if length.isdigit() else None
    found = CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    return int(found[3]) if found and found[3] != "*" else None


def _goes_on(headers: Mapping[str, str], remote: Remote, known: Remote, offset: int) -> bool:
    found = CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    return bool(found and found[1] == str(offset)) and _same(remote, known)


def _same(remote: Remote, known: Remote) -> bool:
    """Whether nothing that is told twice differs; the size may, since the first answer may have lied."""
    for now, before in ((remote.etag, known.etag), (remote.last_modified, known.last_modified)):
        if now and before and now != before:
            return False
    return True


def _asked_wait(headers: Mapping[str, str]) -> float | None:
    asked = headers.get("retry-after", "")
    if asked.isdigit():
        return min(float(asked), LONGEST_WAIT_S)
    try:
        # both times are the server's, so that a wrong clock here plays no part
        wait = parsedate_to_datetime(asked) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return min(max(wait.total_seconds(), 0.0), LONGEST_WAIT_S)
