"""The local store and S3 give the same guarantees, with a real server on loopback."""

import hashlib
from pathlib import Path

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from tasks.errors import StoreError
from tasks.files import sha256_of
from tasks.storage.checkpoints.listing import pull_checkpoint, verify_checkpoints
from tasks.storage.folder_upload import archive_folder
from tasks.storage.object_store import ObjectStore, open_store

BUCKET = "rsvlm-tests"
PARTS = 40 << 20  # three parts of a multipart upload


@pytest.fixture
def s3(s3_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ObjectStore:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3", endpoint_url=s3_address).create_bucket(Bucket=BUCKET)
    # each test has its own prefix
    return open_store(f"s3://{BUCKET}/{tmp_path.name}", s3_address)


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "s3":
        return request.getfixturevalue("s3")
    (tmp_path / "store").mkdir()
    return open_store((tmp_path / "store").as_uri())


def put(store: ObjectStore, tmp_path: Path, key: str, content: bytes) -> None:
    source = tmp_path / "source"
    source.write_bytes(content)
    store.put_file(source, key, sha256_of(source))


def test_get_file_returns_what_put_file_stored(store: ObjectStore, tmp_path: Path) -> None:
    put(store, tmp_path, "a/b c/ü.bin", b"content")
    store.get_file("a/b c/ü.bin", tmp_path / "back", hashlib.sha256(b"content").hexdigest())
    assert (tmp_path / "back").read_bytes() == b"content"


def test_a_file_of_several_parts_is_stored_intact(s3: ObjectStore, tmp_path: Path) -> None:
    content = b"0123456789abcdef" * (PARTS // 16)
    put(s3, tmp_path, "big", content)
    assert s3.hash_of("big") == hashlib.sha256(content).hexdigest()


def test_an_empty_file_is_stored(store: ObjectStore, tmp_path: Path) -> None:
    put(store, tmp_path, "empty", b"")
    assert store.sizes_below("") == {"empty": 0}


def test_put_file_refuses_a_file_with_another_hash(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"changed since it was hashed")
    with pytest.raises(StoreError, match="SHA-256"):
        store.put_file(tmp_path / "source", "key", "0" * 64)
    assert store.hash_of("key") is None


def test_get_file_refuses_a_damaged_file(store: ObjectStore, tmp_path: Path) -> None:
    put(store, tmp_path, "key", b"content")
    with pytest.raises(StoreError, match="damaged"):
        store.get_file("key", tmp_path / "back", "0" * 64)
    assert not (tmp_path / "back").exists()


def test_a_missing_key_is_reported(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        store.get_file("nothing", tmp_path / "back", "0" * 64)
    assert store.hash_of("nothing") is None
    assert store.read_text("nothing") is None


def test_a_missing_source_file_is_reported(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="source"):
        store.put_file(tmp_path / "source", "key", "0" * 64)


def test_create_text_does_not_overwrite(store: ObjectStore) -> None:
    assert store.create_text("run/MANIFEST.json", "first")
    assert not store.create_text("run/MANIFEST.json", "second")
    assert store.read_text("run/MANIFEST.json") == "first"


def test_sizes_below_lists_only_its_folder(store: ObjectStore, tmp_path: Path) -> None:
    for key in ("run/a/one", "run/a/deep/two", "run/ab/three"):
        put(store, tmp_path, key, b"12")
    assert store.sizes_below("run/a") == {"run/a/one": 2, "run/a/deep/two": 2}


def test_deleting_twice_changes_nothing(store: ObjectStore, tmp_path: Path) -> None:
    put(store, tmp_path, "key", b"content")
    store.delete("key")
    store.delete("key")
    assert store.read_text("key") is None


def test_sizes_below_reads_all_pages_of_a_listing(s3: ObjectStore, tmp_path: Path) -> None:
    # the server runs in this process: what it holds is put there without a request for each
    for number in range(1005):
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(BUCKET, f"{tmp_path.name}/many/{number:04}", b"")
    assert len(s3.sizes_below("many")) == 1005


def test_an_unknown_bucket_is_named(s3: ObjectStore, s3_address: str) -> None:
    with pytest.raises(StoreError, match=r"no-such-bucket.*create it"):
        open_store("s3://no-such-bucket/x", s3_address).sizes_below("")


def test_an_unreachable_server_is_reported(s3: ObjectStore, unused_address: str) -> None:
    with pytest.raises(StoreError, match="cannot be reached"):
        open_store(f"s3://{BUCKET}/x", unused_address).read_text("key")


@pytest.fixture
def unused_address() -> str:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_missing_credentials_are_reported(s3_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="no credentials"):
        open_store(f"s3://{BUCKET}/x", s3_address).read_text("key")


def test_open_store_takes_the_path_of_a_folder(tmp_path: Path) -> None:
    assert open_store(str(tmp_path)).uri == tmp_path.as_uri()


@pytest.mark.parametrize(
    "uri", ["", "http://host/x", "s3:///x", "file://host/x", "s3://key:s3cret@bucket", "s3://bucket/x?sig=s3cret"]
)
def test_open_store_refuses_other_addresses_without_showing_secrets(uri: str) -> None:
    with pytest.raises(StoreError, match="is not a store") as refused:
        open_store(uri)
    assert "s3cret" not in str(refused.value)


def test_open_store_refuses_a_missing_folder() -> None:
    with pytest.raises(StoreError, match="There is no folder nowhere"):
        open_store("nowhere")


def test_listing_a_missing_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        open_store((tmp_path / "typo").as_uri()).sizes_below("")


def test_a_checkpoint_is_archived_and_pulled(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "adapter_model.safetensors").write_bytes(b"weights")
    for sent in (1, 0):
        assert archive_folder(tmp_path / "made", store, "demo/checkpoints/checkpoint-5").sent == sent
    assert [checkpoint.whole for checkpoint in verify_checkpoints(store)] == [True]
    pulled = pull_checkpoint(store, tmp_path / "out")
    assert (pulled / "adapter_model.safetensors").read_bytes() == b"weights"
