"""Background uploader: copies every staged checkpoint to the store while the trainer runs.

A notification (a call, or an event of the file system) only starts an upload; the work to do is read from the staging
folder each time, so the order, number and loss of notifications do not matter.
"""

import logging
from collections.abc import Sequence
from threading import Event, Thread
from time import sleep
from types import TracebackType
from typing import Self

from tasks.errors import StoreError
from tasks.paths import checkpoint_name
from tasks.storage.checkpoints.archiver import Archive
from tasks.storage.checkpoints.staging import staged_checkpoints
from tasks.storage.object_store import RETRY_DELAYS_S

log = logging.getLogger(__name__)

# how often the watcher checks whether it should stop, in milliseconds
WATCH_STEP_MS = 200


class Uploader:
    """Sweeps staging at the start, at every notification and at the end; use as a context manager.

    Leaving the block waits for the last upload and raises StoreError if a checkpoint is still only on this disk.
    Failed checkpoints are retried at the next notification, after each of `retry_delays_s`, and at the end.
    """

    def __init__(self, archive: Archive, retry_delays_s: Sequence[float] = RETRY_DELAYS_S) -> None:
        self._archive, self._retry_delays_s = archive, retry_delays_s
        self._staging = archive.staging
        self._failed: dict[int, Exception] = {}
        self._failures_in_a_row = 0
        self._notified, self._closing = Event(), Event()
        self._worker = Thread(target=self._work, daemon=True)
        self._watcher = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._staging.mkdir(parents=True, exist_ok=True)
        self._archive.recover()
        self._notified.set()
        self._worker.start()
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except StoreError as failure:
            if error is None:
                raise
            # the block's own error is raised; this one is logged
            log.error("%s", failure)

    def notify(self) -> None:
        """Start an upload in the background, as staging may have a new checkpoint. A dead worker thread is replaced."""
        if not self._worker.is_alive():
            log.error("the uploader of %s has died and is replaced", self._staging)
            self._worker = Thread(target=self._work, daemon=True)
            self._worker.start()
        self._notified.set()

    def close(self) -> None:
        """Sweep until nothing is left or all retries are used; StoreError names checkpoints still only on this disk."""
        # a trainer that was killed between saving and staging has left a complete checkpoint in its folder
        self._archive.recover()
        self._closing.set()
        self.notify()
        self._worker.join()
        self._watcher.join()
        left = [staged for staged in staged_checkpoints(self._staging) if staged.step in self._failed]
        if left:
            names = ", ".join(staged.path.name for staged in left)
            raise StoreError(
                f"{names} of run {self._archive.run} could not be archived and stay in {self._staging}: "
                f"{self._failed[left[-1].step]} {self._archive.fix} later."
            )
        self._archive.thin_disk()

    def _work(self) -> None:
        while not self._closing.is_set():
            self._notified.wait(self._delay_s())
            self._notified.clear()
            self._upload()
        for delay_s in (0.0, *self._retry_delays_s):
            sleep(delay_s)
            self._upload()
            if not self._failed:
                return

    def _delay_s(self) -> float | None:
        """Seconds until failed checkpoints are retried; None: only at the next notification."""
        tried = self._failures_in_a_row
        return self._retry_delays_s[tried - 1] if 0 < tried <= len(self._retry_delays_s) else None

    def _upload(self) -> None:
        try:
            result = self._archive.upload_staged()
        except Exception as error:  # the thread must survive, for later checkpoints
            log.exception("the upload of %s failed", self._staging)
            self._failed = dict.fromkeys((staged.step for staged in staged_checkpoints(self._staging)), error)
        else:
            self._failed = dict(result.failed)
            for step in result.incomplete:
                log.warning("%s in %s is incomplete and is not uploaded", checkpoint_name(step), self._staging)
        self._failures_in_a_row = self._failures_in_a_row + 1 if self._failed else 0
        for step, failure in self._failed.items():
            log.warning("%s is only on this disk so far: %s", checkpoint_name(step), failure)

    def _watch(self) -> None:
        from watchfiles import watch

        try:
            for _changes in watch(
                self._staging,
                watch_filter=None,
                step=WATCH_STEP_MS,
                stop_event=self._closing,
                recursive=False,
                raise_interrupt=False,
            ):
                self._notified.set()
        except OSError as error:
            # no events here (too many watches, some network shares): calls and the end still start uploads
            log.warning("%s cannot be watched (%s); checkpoints are archived when announced", self._staging, error)
