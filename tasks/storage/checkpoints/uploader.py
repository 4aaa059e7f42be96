"""The uploader beside the trainer: brings every staged checkpoint to the store, whatever the trainer does.

An alarm (a call, or a notification of the file system) only says that it is worth looking; what is to be done
is read from the staging folder each time, so that order, number and loss of alarms do not matter.
"""

import logging
from threading import Event, Thread
from time import sleep
from types import TracebackType
from typing import Self

from tasks.errors import StoreError
from tasks.paths import checkpoint_name
from tasks.storage.checkpoints.archiver import Archive
from tasks.storage.checkpoints.staging import staged_checkpoints

log = logging.getLogger(__name__)

RETRY_DELAYS_S = (2.0, 10.0, 60.0)
# how often the watcher looks at its stop sign, in milliseconds
WATCH_STEP_MS = 200


class Uploader:
    """Sweeps staging at the start, at every alarm and at the end; use as a context manager.

    Leaving the block waits for the last sweep and raises StoreError when a checkpoint is still only local.
    Failed checkpoints are tried again at the next alarm, after each of `retry_delays_s`, and at the end.
    """

    def __init__(self, archive: Archive, retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S) -> None:
        self._archive, self._retry_delays_s = archive, retry_delays_s
        self._staging = archive.staging
        self._failed: dict[int, Exception] = {}
        self._failures_in_a_row = 0
        self._alarm, self._closing = Event(), Event()
        self._worker = Thread(target=self._work, daemon=True)
        self._watcher = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._staging.mkdir(parents=True, exist_ok=True)
        self._archive.take_up()
        self._alarm.set()
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
            # the block's own error comes first; this one must be seen all the same
            log.error("%s", failure)

    def notify(self) -> None:
        """Say that staging may hold something new; returns at once. A dead uploader is seen here and replaced."""
        if not self._worker.is_alive():
            log.error("the uploader of %s had died: another one goes on", self._staging)
            self._worker = Thread(target=self._work, daemon=True)
            self._worker.start()
        self._alarm.set()

    def close(self) -> None:
        """Sweep until nothing is left or all retries are used; StoreError names what is still only local."""
        # a trainer that was killed between saving and staging has left a whole checkpoint in its own folder
        self._archive.take_up()
        self._closing.set()
        self.notify()
        self._worker.join()
        self._watcher.join()
        left = [staged for staged in staged_checkpoints(self._staging) if staged.step in self._failed]
        if left:
            names = ", ".join(staged.path.name for staged in left)
            raise StoreError(
                f"{names} of run {self._archive.run} could not be archived and stay in {self._staging}: "
                f"{self._failed[left[-1].step]} {self._archive.mend} later."
            )
        self._archive.thin_disk()

    def _work(self) -> None:
        while not self._closing.is_set():
            self._alarm.wait(self._delay_s())
            self._alarm.clear()
            self._sweep()
        for delay_s in (0.0, *self._retry_delays_s):
            sleep(delay_s)
            self._sweep()
            if not self._failed:
                return

    def _delay_s(self) -> float | None:
        """Seconds until failed checkpoints are tried again by themselves; None: only at the next alarm."""
        tried = self._failures_in_a_row
        return self._retry_delays_s[tried - 1] if 0 < tried <= len(self._retry_delays_s) else None

    def _sweep(self) -> None:
        try:
            result = self._archive.sweep()
        except Exception as error:  # the thread must live on: later checkpoints are not to be lost with it
            log.exception("the sweep of %s was broken off", self._staging)
            self._failed = dict.fromkeys((staged.step for staged in staged_checkpoints(self._staging)), error)
        else:
            self._failed = dict(result.failed)
            for step in result.incomplete:
                log.warning("%s in %s is incomplete and is left alone", checkpoint_name(step), self._staging)
        self._failures_in_a_row = self._failures_in_a_row + 1 if self._failed else 0
        for step, failure in self._failed.items():
            log.warning("%s is only local as yet: %s", checkpoint_name(step), failure)

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
                self._alarm.set()
        except OSError as error:
            # no notifications here (too many watches, some network shares): calls and the end remain
            log.warning("%s cannot be watched (%s); checkpoints are archived when announced", self._staging, error)
