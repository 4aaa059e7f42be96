"""Artifacts on Prefect's pages; an unreachable server fails no work.

They are on the page of the flow run that a user has started, also those of the flows that it calls, except details.
"""

import json
import os
import re
import socket
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, copy_context
from pathlib import Path
from threading import Lock, Thread
from typing import Literal
from urllib.parse import quote
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.utilities.context import get_task_and_flow_run_ids

from tasks.paths import REPORTS, Workspace

# the URL of `rsvlm view` over this workspace, such as http://lab:7861
VIEW_URL = "RSVLM_VIEW_URL"
COMPLETE_PERCENT = 100.0
LAST_UPDATE_TIMEOUT_S = 10.0
# as Prefect's pages know them
Kind = Literal["markdown", "table", "image", "progress"]
# the flow run that a user has started; the flows that it calls, and their tasks, inherit it
_FIRST_RUN: ContextVar[UUID | None] = ContextVar("first_run", default=None)


def on_first_page() -> AbstractContextManager[None]:
    """Show the artifacts of the block on the page of the flow run that a user has started."""
    return _on_page(_FIRST_RUN.get() or _own_run())


def on_own_page() -> AbstractContextManager[None]:
    """Show the artifacts of the block on the page of the flow run that does the work: details of a part."""
    return _on_page(_own_run())


@contextmanager
def _on_page(flow_run: UUID | None) -> Iterator[None]:
    token = _FIRST_RUN.set(flow_run)
    try:
        yield
    finally:
        _FIRST_RUN.reset(token)


def _own_run() -> UUID | None:
    _, flow_run = get_task_and_flow_run_ids()
    return flow_run


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
    show_markdown(link_to(page, about), key, about)


def link_to(page: Path, about: str) -> str:
    """A link to a page of `rsvlm view` as Markdown, or where its file is."""
    url = page_url(page)
    return f"[{about}]({url})" if url else f"{about}: {file_in_words(page)}"


def file_in_words(page: Path) -> str:
    """Where a page's file is, and how to see it in a browser."""
    return (
        f"`{page}` on {socket.gethostname()}. `rsvlm view` shows it in a browser; with its address in {VIEW_URL} there "
        "is a link here."
    )


def show_markdown(text: str, key: str, about: str) -> None:
    """Show a text."""
    with harmless():
        _create("markdown", text, key, about)


def show_table(rows: Sequence[Mapping[str, object]], key: str, about: str) -> None:
    """Show rows, each by the names of its columns."""
    with harmless():
        _create("table", json.dumps(rows), key, about)


def show_picture(svg: str, key: str, about: str) -> None:
    """Show an SVG image."""
    with harmless():
        _create("image", picture_url(svg), key, about)


def picture_url(svg: str) -> str:
    """An SVG image as a data URL."""
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"


def _create(kind: Kind, data: str | float, key: str, about: str) -> UUID:
    # a Ray cluster's tasks have not inherited the first run
    flow_run = _FIRST_RUN.get() or _own_run()
    artifact = ArtifactCreate(type=kind, key=key, description=about, data=data, flow_run_id=flow_run)
    with get_client(sync_client=True) as client:
        return client.create_artifact(artifact).id


class LiveArtifact:
    """An artifact that changes while work goes on, sent by a background thread: the work never waits for the server.

    A client retries an unreachable server for about a minute. Meanwhile only the newest update is kept.
    """

    def __init__(self, kind: Kind, *words: str):
        self._kind, self._key = kind, artifact_key(*words)
        self._artifact: UUID | None = None
        self._pending: tuple[str | float, str] | None = None
        self._sender: Thread | None = None
        self._lock = Lock()

    def update(self, data: str | float, about: str, is_last: bool = False) -> None:
        """Show new content; waits for the last update, for LAST_UPDATE_TIMEOUT_S at most."""
        with self._lock:
            self._pending = (data, about)
            if self._sender is None:
                # with the context, from which Prefect knows the run
                self._sender = Thread(target=copy_context().run, args=(self._send,), daemon=True)
                self._sender.start()
            sender = self._sender
        if is_last:
            sender.join(LAST_UPDATE_TIMEOUT_S)

    def _send(self) -> None:
        while (update := self._next()) is not None:
            with harmless():
                if self._artifact is None:
                    self._artifact = _create(self._kind, update[0], self._key, update[1])
                else:
                    with get_client(sync_client=True) as client:
                        client.update_artifact(self._artifact, ArtifactUpdate(data=update[0], description=update[1]))

    def _next(self) -> tuple[str | float, str] | None:
        with self._lock:
            update, self._pending = self._pending, None
            if update is None:
                self._sender = None
            return update


class ProgressArtifact(LiveArtifact):
    """A progress bar on Prefect's pages."""

    def __init__(self, *words: str):
        super().__init__("progress", *words)

    def show(self, percent: float, description: str) -> None:
        """Show 0 to 100 percent and a description; the update to 100 is the last."""
        self.update(percent, description, is_last=percent >= COMPLETE_PERCENT)


@contextmanager
def harmless() -> Iterator[None]:
    """Log any exception of the block as a warning: it only updates Prefect's pages."""
    try:
        yield
    except Exception as error:
        get_run_logger().warning("Prefect's pages could not be updated: %s", error)
