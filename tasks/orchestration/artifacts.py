"""Artifacts on Prefect's pages; an unreachable server neither fails nor delays the work."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from threading import Lock, Thread
from typing import cast
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact

COMPLETE_PERCENT = 100.0
LAST_UPDATE_TIMEOUT_S = 10.0


def artifact_key(*words: str) -> str:
    """A key for an artifact: lower-case letters, digits and dashes, all that Prefect allows."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")


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
