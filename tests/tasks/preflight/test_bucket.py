"""Write access to a bucket is tried, against a real server of that language, and nothing stays there."""

import boto3
import pytest

from tasks.preflight.service_checks import store_findings
from tasks.settings import ExperimentConfig


def test_a_bucket_is_written_to_read_and_left_as_it_was(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config = ExperimentConfig.model_validate({"store": {"endpoint_url": s3_address}})
    (found,) = store_findings(config, "s3://not-there/runs")
    assert found.level == "stops" and "the bucket does not exist" in found.text
    client = boto3.client("s3", endpoint_url=s3_address)
    client.create_bucket(Bucket="there")
    (found,) = store_findings(config, "s3://there/runs")
    assert found.level == "ok"
    assert client.list_objects_v2(Bucket="there")["KeyCount"] == 0
