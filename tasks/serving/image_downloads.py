"""Download images from the web, with limits on size and time."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from tasks.errors import DataError
from tasks.secret_addresses import scrubbed, without_secrets

SCHEMES = ("http://", "https://")
MAX_BYTES = 30_000_000
TIMEOUT_S = 30.0
CHUNK_BYTES = 1 << 16


def is_url(text: str) -> bool:
    """Whether a text is an http or https URL."""
    return text.lower().startswith(SCHEMES)


class _WebRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only, never to ftp or a file."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if not is_url(newurl):
            raise DataError(
                f"{without_secrets(req.full_url)} redirects to {without_secrets(newurl)}, which is not on the web."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch_image(
    url: str,
    target: Path,
    max_bytes: int = MAX_BYTES,
    timeout_s: float = TIMEOUT_S,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Download a file over http or https into `target`; raises DataError if it fails, is too large or too slow."""
    if not is_url(url):
        raise DataError(f"{url} is not an http or https URL: give one.")
    deadline, shown = clock() + timeout_s, without_secrets(url)
    request = urllib.request.Request(url, headers={"User-Agent": "rsvlm"})  # noqa: S310 - checked above
    opener = urllib.request.build_opener(_WebRedirects)
    try:
        with opener.open(request, timeout=timeout_s) as response, target.open("wb") as file:
            while chunk := response.read1(CHUNK_BYTES):
                file.write(chunk)
                if file.tell() > max_bytes:
                    raise DataError(f"{shown} is larger than {max_bytes} bytes: download it yourself and crop it.")
                if clock() > deadline:
                    raise DataError(f"{shown} took longer than {timeout_s:g} s: download it yourself.")
    except (OSError, HTTPException, ValueError) as error:
        raise DataError(f"{shown} cannot be fetched ({scrubbed(str(error))}): check the URL.") from None
