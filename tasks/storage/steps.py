"""Archiving as Prefect tasks; a network that fails is asked again."""

from pathlib import Path

from prefect import task

from tasks.records import CheckpointRef, DatasetRef, FolderRef
from tasks.steps import content_digest_of
from tasks.storage.archiving import Archived
from tasks.storage.object_store import open_store
from tasks.storage.run_results import archive_results
from tasks.storage.runs import Run, claim_store
from tasks.storage.staging import archive_staged

RETRY_DELAYS_S = [2.0, 10.0, 60.0]


@task(name="archive-staged", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def archive_staged_step(staging: Path, run: str, uri: str, endpoint_url: str | None = None) -> dict[int, Archived]:
    """Copy all complete checkpoints in staging to the store; what was archived, by step."""
    return archive_staged(staging, open_store(uri, endpoint_url), run)


@task(name="archive-run", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def archive_run(run: Run, dataset: DatasetRef, checkpoint: CheckpointRef) -> list[Archived]:
    """Copy what a run made to the store, but for the checkpoints that its training took there."""
    return archive_results(run, dataset.path, checkpoint)


@task(name="claim-store", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def claim_store_step(run: Run, *made_from: FolderRef) -> Run:
    """Take a name in the store for what a run makes of its settings, these inputs and today's code."""
    return claim_store(run, content_digest_of(made_from))
