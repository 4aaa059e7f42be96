import boto3
import pytest

from tasks.data.fetching.http_file import FetchError, HttpFetcher, Patience
from tasks.data.fetching.urls import obtain

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def endpoint(monkeypatch, s3_address):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return s3_address


def test_an_object_is_fetched_by_a_signed_link_that_is_not_recorded(endpoint, tmp_path):
    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="data/LR.zip", Body=b"content" * 1000)
    fetcher = HttpFetcher(Patience(failures=1, unreachable=0))
    place = obtain("s3://bucket/data/LR.zip", tmp_path, fetcher, endpoint)
    assert place.path == tmp_path / "LR.zip" and place.ours
    assert place.path.read_bytes() == b"content" * 1000
    assert "Signature" not in (tmp_path / "LR.zip.fetched.json").read_text()
    with pytest.raises(FetchError, match="refused with status 404"):
        obtain("s3://bucket/data/none.zip", tmp_path, fetcher, endpoint)
