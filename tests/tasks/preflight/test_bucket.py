"""Write access to a bucket is tried, against a real server of that language, and nothing stays there."""

from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tasks.preflight.services import store_findings
from tasks.settings import ExperimentConfig


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_a_bucket_is_written_to_read_and_left_as_it_was(endpoint: str) -> None:
    config = ExperimentConfig.model_validate({"store": {"endpoint_url": endpoint}})
    (found,) = store_findings(config, "s3://not-there/runs")
    assert found.level == "stops" and "the bucket does not exist" in found.text
    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket="there")
    (found,) = store_findings(config, "s3://there/runs")
    assert found.level == "ok"
    assert client.list_objects_v2(Bucket="there")["KeyCount"] == 0
