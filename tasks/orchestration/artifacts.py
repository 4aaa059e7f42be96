"""Artifacts on Prefect's pages; an unreachable server neither fails nor delays the work."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from threading import Lock, Thread
from typing import cast
from urllib.parse import quote
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)

from tasks.paths import REPORTS, Workspace

# the URL of `rsvlm view` over this workspace, such as http://lab:7861
VIEW_URL = "RSVLM_VIEW_URL"
COMPLETE_PERCENT = 100.0
LAST_UPDATE_TIMEOUT_S = 10.0


def artifact_key(*words: str) -> str:
    """A key for an artifact: lower-case letters, digits and dashes, all that Prefect allows."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")


def page_url(page: Path) -> str | None:
    """Where `rsvlm view` shows a report's page or a sweep's; None if that has no URL or does not show it."""
    url = os.environ.get(VIEW_URL, "").rstrip("/")
    folder, root = page.parent, page.parent.parent
    if not url.startswith(("http://", "https://")):
        return None
    if root.name == "sweeps":
        return f"{url}/sweeps/{quote(folder.name)}"
    of_run = root.parent
    if root.name != REPORTS or of_run.parent != Workspace(of_run.parent.parent).runs:
        return None
    return f"{url}/runs/{quote(of_run.name)}/reports/{quote(folder.name)}"


def show_page(page: Path, key: str, about: str) -> None:
    """Link to a page of `rsvlm view`, or say where its file is: a browser opens no file from the page of a server."""
    url = page_url(page)
    if url:
        create_link_artifact(url, link_text=about, key=key, description=about)
    else:
        create_markdown_artifact(f"{about}: {file_in_words(page)}", key=key, description=about)


def file_in_words(page: Path) -> str:
    """Where a page's file is, and how to see it in a browser."""
    return (
        f"`{page}` on {socket.gethostname()}. `rsvlm view` shows it in a browser; with its address in {VIEW_URL} there "
        "is a link here."
    )


class ProgressArtifact:
    """A progress bar on Prefect's pages, updated by a background thread.

    A client retries an unreachable server for about a minute. Meanwhile only the newest update is kept. `show` waits
    for the update to 100 percent, for LAST_UPDATE_TIMEOUT_S at most.
    """

    def __init__(self, *words: str):
        self._key = artifact_key(*words)
        self._artifact: UUID | None = None
        self._pending: tuple[float, str] | None = None
        self._sender: Thread | None = None
        self._lock = Lock()

    def show(self, percent: float, description: str) -> None:
        """Show 0 to 100 percent and a description."""
        with self._lock:
            self._pending = (percent, description)
            if self._sender is None:
                # with the context, from which Prefect knows the run
                self._sender = Thread(target=copy_context().run, args=(self._send,), daemon=True)
                self._sender.start()
            sender = self._sender
        if percent >= COMPLETE_PERCENT:
            sender.join(LAST_UPDATE_TIMEOUT_S)

    def _send(self) -> None:
        while (update := self._next()) is not None:
            with harmless():
                if self._artifact is None:
                    self._artifact = cast("UUID", create_progress_artifact(update[0], self._key, update[1]))
                else:
                    update_progress_artifact(self._artifact, *update)

    def _next(self) -> tuple[float, str] | None:
        with self._lock:
            update, self._pending = self._pending, None
            if update is None:
                self._sender = None
            return update


@contextmanager
def harmless() -> Iterator[None]:
    """Log any exception of the block as a warning: it only updates Prefect's pages."""
    try:
        yield
    except Exception as error:
        get_run_logger().warning("Prefect's pages could not be updated: %s", error)
