"""Credentials of a Prefect block reach the store, but no parameter, log, event or artifact."""

import json
from pathlib import Path

import boto3
import pytest

from tasks.errors import ConfigError
from tasks.settings import ExperimentConfig
from tasks.storage.runs import Run, open_run

pytestmark = pytest.mark.slow


def run_with(block: str, workspace: Path, **store: str) -> Run:
    settings = {"store": {"uri": "s3://bucket/x", "credentials_block": block, **store}}
    return open_run(ExperimentConfig.model_validate(settings), "run", workspace)


@pytest.fixture(scope="module")
def blocks(prefect_server: Path) -> None:
    """Blocks with the slugs and fields of prefect-aws, which need not be installed for them to be read."""
    from prefect.blocks.core import Block
    from pydantic import SecretStr

    class AwsCredentials(Block):
        _block_type_slug = "aws-credentials"
        aws_access_key_id: str
        aws_secret_access_key: SecretStr
        region_name: str

    class S3Bucket(Block):
        _block_type_slug = "s3-bucket"
        bucket_name: str
        credentials: AwsCredentials

    keys = AwsCredentials(
        aws_access_key_id="key-of-the-block", aws_secret_access_key=SecretStr("secret-of-the-block"), region_name="eu-1"
    )
    keys.save("archive", overwrite=True)
    S3Bucket(bucket_name="bucket", credentials=keys).save("archive", overwrite=True)


@pytest.mark.parametrize("block", ["aws-credentials/archive", "s3-bucket/archive"])
def test_requests_are_signed_with_the_keys_of_the_prefect_block(block: str, blocks: None, tmp_path: Path) -> None:
    from tasks.storage.steps import open_run_store

    run = run_with(block, tmp_path)
    signed = open_run_store(run).signed_link("key", 60)  # type: ignore[attr-defined]
    assert "key-of-the-block" in signed
    assert "eu-1" in signed
    shown = json.dumps(run.model_dump(mode="json")) + run.folder.experiment.read_text()
    assert "secret-of-the-block" not in shown + signed


def test_a_missing_prefect_block_is_reported(prefect_server: Path, tmp_path: Path) -> None:
    from tasks.storage.steps import open_run_store

    with pytest.raises(ConfigError, match="no Prefect block aws-credentials/nobody"):
        open_run_store(run_with("aws-credentials/nobody", tmp_path))


@pytest.fixture
def bucket_server(blocks: None, s3_address: str) -> str:
    boto3.Session("a", "b", region_name="us-east-1").client("s3", endpoint_url=s3_address).create_bucket(
        Bucket="bucket"
    )
    return s3_address


# others use the server, too, which tells 200 of each kind at most; of events the latest, without being asked for them
LATEST = {
    "flow_runs": {"sort": "START_TIME_DESC"},
    "task_runs": {"sort": "EXPECTED_START_TIME_DESC"},
    "logs": {"sort": "TIMESTAMP_DESC"},
    "events": {},
    "artifacts": {"sort": "CREATED_DESC"},
}


def told_to_prefect() -> str:
    """The latest parameters, logs, events and artifacts that the server holds."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return "".join(client.request("POST", f"/{kind}/filter", json=latest).text for kind, latest in LATEST.items())


def test_keys_of_a_block_appear_in_no_parameter_log_or_event(
    bucket_server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    from flows.archive_checkpoint import archive_checkpoint_flow

    run = run_with("aws-credentials/archive", tmp_path, endpoint_url=bucket_server)
    waits = run.folder.staging / "checkpoint-5"
    waits.mkdir(parents=True)
    (waits / "adapter_model.safetensors").write_text("weights")
    (waits / "COMPLETE.json").write_text("{}")
    assert archive_checkpoint_flow("run", 5, tmp_path) == [5]
    told = told_to_prefect()
    assert "run: archive-checkpoint 5" in told
    files = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    ours = files + caplog.text + "".join(capfd.readouterr())
    assert "secret-of-the-block" not in told + ours
    # Prefect itself shows it when a block is saved: with prefect-aws it is no secret field
    assert "key-of-the-block" not in ours
