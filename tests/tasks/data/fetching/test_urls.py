import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from tasks.data.fetching.http_file import FetchError, HttpFetcher, RetryPolicy
from tasks.data.fetching.urls import fetch_url
from tasks.sources import INSTRUCTIONS

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def endpoint(monkeypatch, s3_address):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return s3_address


def test_s3_object_is_downloaded_by_an_unrecorded_signed_link(endpoint, tmp_path):
    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="data/LR.zip", Body=b"content" * 1000)
    fetcher = HttpFetcher(RetryPolicy(failures=1, unreachable=0))
    local = fetch_url("s3://bucket/data/LR.zip", tmp_path, fetcher, endpoint)
    assert local.path == tmp_path / "LR.zip" and local.fetched
    assert local.path.read_bytes() == b"content" * 1000
    assert "Signature" not in (tmp_path / "LR.zip.fetched.json").read_text()
    with pytest.raises(FetchError, match="refused with status 404"):
        fetch_url("s3://bucket/data/none.zip", tmp_path, fetcher, endpoint)


PLACE = "/datasets/BigData-KSU/RS-instructions-dataset/resolve/main/NWPU-RSICD-UAV-UCM-LR-DOTA-intrcutions.json"
CONTENT = json.dumps(["record"] * 10_000).encode()
CODE = """
import sys
from pathlib import Path
from pathlib import Path
from tasks.data.fetching.http_file import Link
from tasks.data.fetching.urls import fetch_hub_file
print(fetch_hub_file(Link.to(sys.argv[1]), Path(sys.argv[2]), lambda done, total: print(done, total)))
"""


@pytest.fixture
def fetch(server, tmp_path):
    """A function that downloads in a child process, since the hub's client reads its URL at import."""

    def run(sha256: str) -> "subprocess.CompletedProcess[str]":
        # the hub gives the checksum of a large file as its ETag
        headers = {"ETag": f'"{sha256}"', "X-Repo-Commit": "a" * 40}
        server.add(PLACE, CONTENT, etag=f'"{sha256}"', headers=headers)
        env = {**os.environ, "HF_ENDPOINT": server.url(""), "HF_HOME": str(tmp_path / "hub")}
        command = [sys.executable, "-c", CODE, INSTRUCTIONS[0], str(tmp_path / "out")]
        return subprocess.run(command, capture_output=True, text=True, env=env)

    return run


def test_hub_file_is_downloaded_with_progress(fetch, tmp_path):
    done = fetch(hashlib.sha256(CONTENT).hexdigest())
    assert done.returncode == 0, done.stderr
    *result, path = done.stdout.splitlines()
    assert result[-1] == f"{len(CONTENT)} {len(CONTENT)}"
    assert path.startswith(str(tmp_path / "out")) and Path(path).read_bytes() == CONTENT


def test_hub_file_with_a_wrong_checksum_is_refused(fetch, tmp_path):
    result = fetch("0" * 64)
    assert "does not match the hub's checksum" in result.stderr
    assert not list((tmp_path / "out").glob("*.json"))
