"""Archiving as Prefect tasks, which are retried when the network fails."""

from prefect import task
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

from tasks.content_keys import content_digest_of
from tasks.errors import ConfigError
from tasks.records import CheckpointRef, DatasetRef, FolderRef, ModelRef
from tasks.storage.checkpoints.archiver import Archive, archive_staged
from tasks.storage.folder_upload import Archived
from tasks.storage.object_store import RETRY_DELAYS_S, Credentials, ObjectStore
from tasks.storage.run_outputs import archive_merged, archive_results, fetch_checkpoint
from tasks.storage.runs import Run, claim_store

SAVED, ARCHIVED = "saved", "archived"
# label of an archived checkpoint that will be scored: without it the server starts no scoring
TO_BE_SCORED = {"rsvlm.score": "wanted"}


@task(name="archive-staged", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def archive_staged_step(run: Run) -> dict[int, Archived]:
    """Copy all complete checkpoints of a run that are only on this disk to the store; what was archived, by step."""
    return archive_staged(archive_of(run))


@task(name="archive-run", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def archive_run(run: Run, dataset: DatasetRef, checkpoint: CheckpointRef) -> list[Archived]:
    """Copy the results of a run to the store, except the checkpoints that training has archived."""
    return archive_results(run, dataset.path, checkpoint, open_run_store(run))


@task(name="claim-store", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def claim_store_step(run: Run, *made_from: FolderRef) -> Run:
    """Claim a name in the store for the results of a run's settings, these inputs and the current code."""
    return claim_store(run, content_digest_of(made_from), open_run_store(run))


@task(name="fetch-checkpoint", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def fetch_checkpoint_step(run: Run, step: int | None) -> CheckpointRef:
    """Download an archived checkpoint of a run into the run's folder."""
    if step is None:
        raise ConfigError("There is no checkpoint to merge: give one, or the step of an archived one.")
    return fetch_checkpoint(run, step, open_run_store(run))


@task(name="archive-merged", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def archive_merged_step(run: Run, merged: ModelRef) -> Archived:
    """Copy a merged model to the store."""
    return archive_merged(run, merged.path, open_run_store(run))


def archive_of(run: Run) -> Archive:
    """The archive of a run's checkpoints, which emits an event for each that has been archived."""
    return Archive(
        run.folder.staging,
        open_run_store(run),
        run.store_name,
        run.archive,
        lambda step, _archived: announce(ARCHIVED, run, step),
    )


def announce(what: str, run: Run, step: int) -> None:
    """Emit rsvlm.checkpoint.saved or .archived; nothing depends on its being received."""
    emit_event(
        event=f"rsvlm.checkpoint.{what}",
        resource=resource_of(what, run, step),
        payload={"run": run.store_name, "step": step},
    )


def resource_of(what: str, run: Run, step: int) -> dict[str, str]:
    """The labels by which triggers match a checkpoint; an archived one that will be scored has one more."""
    labels = TO_BE_SCORED if what == ARCHIVED and run.archive.score_images else {}
    return {"prefect.resource.id": f"rsvlm.checkpoint.{run.store_name}.{step}", **labels}


def open_run_store(run: Run) -> ObjectStore:
    """Open the store of a run, with the credentials of its Prefect block if it names one."""
    return run.store(credentials_of(run))


def credentials_of(run: Run) -> Credentials | None:
    """The keys in the Prefect block that a run's store names; None: boto3's usual chain."""
    block = run.store_config.credentials_block
    return _credentials_in(block) if block else None


def _credentials_in(block: str) -> Credentials:
    """Read keys from a block of prefect-aws by its name; they get into no file, log or parameter."""
    slug, name = block.split("/")
    try:
        with get_client(sync_client=True) as client:
            values = client.read_block_document_by_name(name, slug, include_secrets=True).data
    except ObjectNotFound:
        raise ConfigError(
            f"There is no Prefect block {block}: create one of that name, or empty store.credentials_block."
        ) from None
    # an S3Bucket contains the block of its credentials
    keys = values.get("credentials", values)
    return Credentials(
        access_key_id=keys.get("aws_access_key_id"),
        secret_access_key=_plain(keys.get("aws_secret_access_key")),
        session_token=_plain(keys.get("aws_session_token")),
        region=keys.get("region_name"),
        profile=keys.get("profile_name"),
    )


def _plain(secret: SecretStr | str | None) -> str | None:
    return secret.get_secret_value() if isinstance(secret, SecretStr) else secret
