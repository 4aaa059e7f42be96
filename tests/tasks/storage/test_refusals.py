"""Each refusal of a store has its own message, which says what to do and shows no secret."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import StoreError
from tasks.files import sha256_of
from tasks.settings import StoreConfig
from tasks.storage.object_store import Credentials, open_store

BUCKET = "faults"
REFUSALS = [
    (403, "AccessDenied", "give these credentials list, read and write rights"),
    (403, "RequestTimeTooSkewed", "this machine's clock is off: set it"),
    (403, "QuotaExceeded", "the bucket is full"),
    (400, "ExpiredToken", "the session token has expired"),
    (503, "SlowDown", "lower store.parts_in_flight"),
]
on_moto = pytest.mark.parametrize("server", ["moto"], indirect=True)
on_ceph = pytest.mark.parametrize("server", ["radosgw"], indirect=True)


@pytest.mark.slow
@on_moto
@pytest.mark.parametrize(("status", "code", "words"), REFUSALS)
def test_each_refusal_of_a_server_has_its_own_message(
    status: int, code: str, words: str, proxy: Any, tmp_path: Path
) -> None:
    proxy.plan = lambda *_: {"status": status, "code": code}
    (tmp_path / "file").write_text("content")
    with pytest.raises(StoreError, match=words) as refusal:
        open_store(f"s3://{BUCKET}/x", proxy.address).put_file(tmp_path / "file", "key", sha256_of(tmp_path / "file"))
    assert "testsecret" not in str(refusal.value)


@pytest.mark.slow
@on_ceph
def test_a_wrong_secret_is_reported_and_not_shown(server: Any) -> None:
    wrong = Credentials("testkey", "wrong-secret")
    store = open_store(f"s3://{BUCKET}/x", config=StoreConfig(endpoint_url=server.address), credentials=wrong)
    with pytest.raises(StoreError, match="the secret key is wrong") as refusal:
        store.read_text("key")
    assert "wrong-secret" not in f"{refusal.value} {wrong!r} {store!r}"


@on_moto
def test_credentials_of_the_caller_precede_those_of_the_environment(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    given = Credentials("testkey", "testsecret", session_token="a-token")
    store = open_store(f"s3://{BUCKET}/x", config=StoreConfig(endpoint_url=server.address), credentials=given)
    assert store.read_text("nothing") is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here: that takes root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_reported_and_leaves_no_half_written_file(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100_000))
    with pytest.raises(StoreError, match="its disk is full: free space there"):
        open_store(small_disk.as_uri()).put_file(tmp_path / "file", "key", sha256_of(tmp_path / "file"))
    assert list(small_disk.iterdir()) == []


def test_a_read_only_store_is_reported(small_disk: Path, tmp_path: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    (tmp_path / "file").write_text("content")
    with pytest.raises(StoreError, match="it can only be read"):
        open_store(small_disk.as_uri()).put_file(tmp_path / "file", "key", sha256_of(tmp_path / "file"))
