"""What to do with a server's response to a request for a file or for the rest of one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

from tasks.data.fetching.partial_file import Remote

Step = Literal["replace", "append", "complete", "restart", "retry", "refused"]

LONGEST_WAIT_S = 600.0
# statuses that may change in a moment
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
OK, PARTIAL, RANGE_REFUSED = 200, 206, 416
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass(frozen=True)
class ResponseAction:
    """What to do after a response.

    replace: the body is the whole file; append: the body continues the partial file; complete: the partial file is
    complete; restart: the partial file belongs to another version, discard it; retry: request again, after `wait_s`
    seconds where given; refused: this URL does not give the file.
    """

    step: Step
    remote: Remote | None = None
    wait_s: float | None = None


def action_for(status: int, headers: Mapping[str, str], url: str, known: Remote | None, offset: int) -> ResponseAction:
    """Interpret a response to a request for the bytes of `known` from `offset` on, or for all where it is None."""
    remote = Remote(url, headers.get("etag"), headers.get("last-modified"), _total(status, headers))
    if status == OK:
        # a server without ranges sends the whole file again when bytes after its end are requested
        is_complete = known is not None and known.size_bytes == remote.size_bytes == offset
        return ResponseAction("complete") if is_complete else ResponseAction("replace", remote)
    if status == PARTIAL and known:
        continues = _continues(headers, remote, known, offset)
        return ResponseAction("append", remote) if continues else ResponseAction("restart")
    if status == RANGE_REFUSED and known:
        # this response states the true length even if an earlier one did not
        size_bytes = known.size_bytes if remote.size_bytes is None else remote.size_bytes
        return ResponseAction("complete" if size_bytes == offset and _same(remote, known) else "restart")
    if status in TRANSIENT:
        return ResponseAction("retry", wait_s=_retry_after_s(headers))
    return ResponseAction("refused")


def _total(status: int, headers: Mapping[str, str]) -> int | None:
    if status == OK:
        length = headers.get("content-length", "")
        return int(length) if length.isdigit() else None
    found = CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    return int(found[3]) if found and found[3] != "*" else None


def _continues(headers: Mapping[str, str], remote: Remote, known: Remote, offset: int) -> bool:
    found = CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    return bool(found and found[1] == str(offset)) and _same(remote, known)


def _same(remote: Remote, known: Remote) -> bool:
    """Whether no validator differs; the size may differ, since the first response may have been wrong."""
    for now, before in ((remote.etag, known.etag), (remote.last_modified, known.last_modified)):
        if now and before and now != before:
            return False
    return True


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    asked = headers.get("retry-after", "")
    if asked.isdigit():
        return min(float(asked), LONGEST_WAIT_S)
    try:
        # both times are the server's, so that a wrong local clock does not matter
        wait = parsedate_to_datetime(asked) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return min(max(wait.total_seconds(), 0.0), LONGEST_WAIT_S)
