"""The reports that an evaluation is compared with: the previous one and the first one under the same protocol."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.errors import DamagedManifest, StoreError
from tasks.evaluation.protocol import protocol_differences
from tasks.evaluation.report_folder import read_metrics
from tasks.evaluation.scores import Protocol
from tasks.manifests import content_digest
from tasks.paths import REPORTS
from tasks.reevaluating.history import Evaluation
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import damaged_files, join, missing_files, pull_folder, read_remote_manifest
from tasks.storage.runs import Run

# letters of a digest in the name of a folder
DIGEST_LETTERS = 16


class Baselines(NamedTuple):
    """Report folders on this machine; None if there is none. `since` are the evaluations under one protocol."""

    previous: Path | None
    first: Path | None
    since: list[Evaluation]


def evaluations_since(history: Sequence[Evaluation], protocol: str) -> list[Evaluation]:
    """The last evaluations of one model, oldest first, back to where its protocol was another one."""
    count = next((n for n, each in enumerate(reversed(history)) if each.protocol != protocol), len(history))
    return list(history[len(history) - count :])


class ReportFinder:
    """Finds the reports on one model in a run's store; `warn` gets a message for one that is missing or damaged."""

    def __init__(self, run: Run, store: ObjectStore, model: str, warn: Callable[[str], None]):
        self.run, self.store, self.model, self.warn = run, store, model, warn

    def find(self, history: Sequence[Evaluation], protocol: Protocol) -> Baselines:
        """The previous and the first report on the model.

        The first is the experiment's own report, or that of the first evaluation under the same protocol. A changed
        protocol starts again: the first report is then that of the first evaluation after the change.
        """
        since = evaluations_since(history, protocol["fingerprint"])
        own = self._own() if len(since) == len(history) else None
        if not history:
            return Baselines(own, own, since)
        previous = self._fetch(history[-1].report, "previous")
        if own and not protocol_differences(read_metrics(own)["protocol"], protocol):
            return Baselines(previous, own, since)
        if not since or since[0].report == history[-1].report:
            return Baselines(previous, previous if since else None, since)
        return Baselines(previous, self._fetch(since[0].report, "first"), since)

    def _own(self) -> Path | None:
        """The experiment's own report on the model; None if the experiment has none."""
        folder = join(self.run.store_name, REPORTS)
        try:
            exists = read_remote_manifest(self.store, folder) is not None
        except DamagedManifest:
            exists = True
        reports = self._fetch(folder, "experiment's own") if exists else None
        return reports / self.model if reports and (reports / self.model).is_dir() else None

    def _fetch(self, folder: str, which: str) -> Path | None:
        """Fetch a report from the store; None, with a warning, if it is missing or damaged."""
        target = self._fetch_sound(folder)
        if target is None:
            where = join(self.store.uri, folder)
            self.warn(
                f"The {which} report on {self.model} ({where}) is missing or damaged: {self.model} is not compared "
                "with it. Put that folder back to compare again."
            )
        return target

    def _fetch_sound(self, folder: str) -> Path | None:
        try:
            manifest = read_remote_manifest(self.store, folder)
        except DamagedManifest:
            return None
        if manifest is None or missing_files(self.store, folder, manifest):
            return None
        target = self.run.folder.fetched / f"{REPORTS}-{content_digest(manifest)[:DIGEST_LETTERS]}"
        try:
            pull_folder(self.store, folder, target)
        except StoreError:
            # a store that cannot be reached is tried again later
            if not damaged_files(self.store, folder, manifest):
                raise
            return None
        return target
