"""A file of the Hugging Face hub, by the hub's own client, which resumes and retries by itself."""

import re
from pathlib import Path
from typing import Any

from tasks.data.fetching.http_file import FetchError, Link, Progress, matches
from tasks.errors import ConfigError
from tasks.secret_addresses import scrubbed

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
