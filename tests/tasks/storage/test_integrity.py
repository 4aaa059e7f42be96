"""Every file is verified by SHA-256: by the server, or else by reading it back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import StoreError
from tasks.files import sha256_of
from tasks.settings import StoreConfig
from tasks.storage.object_store import ObjectStore, open_store

BUCKET = "faults"
MIB = 1 << 20
# three parts
LARGE_BYTES = 11 * MIB
on_moto = pytest.mark.parametrize("server", ["moto"], indirect=True)
on_ceph = pytest.mark.parametrize("server", ["radosgw"], indirect=True)
sizes = pytest.mark.parametrize("size", [1000, LARGE_BYTES], ids=["small", "parts"])


@pytest.fixture
def opened(proxy: Any, tmp_path: Path) -> Callable[..., ObjectStore]:
    """Opens a prefix in the bucket that no other test uses, through the proxy."""
    uri = f"s3://{BUCKET}/{tmp_path.name}"
    return lambda **settings: open_store(uri, config=StoreConfig(endpoint_url=proxy.address, part_mib=5, **settings))


@pytest.fixture
def reads(proxy: Any) -> list[str]:
    """What is read of files."""
    seen: list[str] = []
    proxy.plan = lambda method, path, _size: seen.append(path) if method == "GET" and "?" not in path else None
    return seen


def made(tmp_path: Path, size: int) -> Path:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(250)) * (size // 250))
    return source


def spoiled_once(least_bytes: int) -> Callable[..., dict[str, Any] | None]:
    faults = [{"corrupt": 12_345}]
    return lambda _method, _path, size: faults.pop() if size >= least_bytes and faults else None


@sizes
@pytest.mark.slow
def test_a_part_changed_in_transit_is_sent_again(
    size: int, opened: Callable[..., ObjectStore], proxy: Any, tmp_path: Path
) -> None:
    store, source = opened(), made(tmp_path, size)
    proxy.plan = spoiled_once(1000)
    store.put_file(source, "key")
    assert store.hash_of("key") == sha256_of(source)


@sizes
@pytest.mark.slow
@on_ceph
def test_the_server_refuses_bytes_that_differ_from_the_signed_ones(
    size: int, opened: Callable[..., ObjectStore], proxy: Any, tmp_path: Path
) -> None:
    store = opened()
    store.create_text("first", "asks the server whether it compares")
    proxy.refused.clear()
    proxy.plan = spoiled_once(1000)
    store.put_file(made(tmp_path, size), "key")
    assert ["XAmzContentSHA256Mismatch" in answer for answer in proxy.refused] == [True]


@pytest.mark.slow
@on_ceph
def test_an_upload_that_always_arrives_changed_fails_with_a_message(
    opened: Callable[..., ObjectStore], proxy: Any, tmp_path: Path
) -> None:
    proxy.plan = lambda _method, _path, size: {"corrupt": 500} if size == 1000 else None
    with pytest.raises(StoreError, match="other bytes arrived than were sent"):
        opened().put_file(made(tmp_path, 1000), "key")
    assert opened().sizes_below("") == {}


@pytest.mark.slow
@sizes
@on_ceph
def test_files_verified_by_the_server_are_not_read_back(
    size: int, opened: Callable[..., ObjectStore], reads: list[str], tmp_path: Path
) -> None:
    opened().put_file(made(tmp_path, size), "key")
    assert reads == []


@sizes
@on_moto
def test_files_not_verified_by_the_server_are_read_back(
    size: int, opened: Callable[..., ObjectStore], reads: list[str], tmp_path: Path
) -> None:
    opened().put_file(made(tmp_path, size), "key")
    assert [path.rpartition("/")[2] for path in reads] == ["key"]


@pytest.mark.slow
def test_the_checksum_probe_leaves_no_file(opened: Callable[..., ObjectStore], tmp_path: Path) -> None:
    store = opened()
    store.put_file(made(tmp_path, 1000), "key")
    assert list(store.sizes_below("")) == ["key"]


@on_moto
def test_the_checksum_probe_runs_once(opened: Callable[..., ObjectStore], proxy: Any, tmp_path: Path) -> None:
    sent: list[str] = []
    proxy.plan = lambda method, path, _size: sent.append(path) if method == "PUT" else None
    store = opened()
    for number in range(3):
        store.put_file(made(tmp_path, 1000), f"key-{number}")
    assert sum(path.endswith("/.sha256-proof") for path in sent) == 1


@on_moto
@pytest.mark.parametrize("settings", [{}, {"read_back": True}])
def test_a_file_that_is_stored_damaged_is_refused(
    settings: dict[str, bool], opened: Callable[..., ObjectStore], proxy: Any, server: Any, tmp_path: Path
) -> None:
    def replace(method: str, path: str, _size: int) -> None:
        if method == "GET" and path.endswith("/key"):
            server.client.put_object(Bucket=BUCKET, Key=path.split("/", 2)[2], Body=b"tnetnoc")

    proxy.plan = replace
    store = opened(**settings)
    with pytest.raises(StoreError, match="did not arrive intact"):
        store.put_file(made(tmp_path, 1000), "key")
    assert store.sizes_below("") == {}


@pytest.mark.slow
def test_read_back_reads_every_file_even_if_the_server_verifies(
    opened: Callable[..., ObjectStore], reads: list[str], tmp_path: Path
) -> None:
    opened(read_back=True).put_file(made(tmp_path, 1000), "key")
    assert [path.rpartition("/")[2] for path in reads] == ["key"]


@pytest.mark.slow
@pytest.mark.parametrize("size", [2 * MIB, LARGE_BYTES], ids=["whole", "parts"])
def test_a_file_that_a_killed_upload_has_stored_is_not_sent_again(
    size: int, opened: Callable[..., ObjectStore], proxy: Any, tmp_path: Path
) -> None:
    source = made(tmp_path, size)
    opened().put_file(source, "key")
    sent: list[str] = []
    proxy.plan = lambda method, path, carried: sent.append(path) if carried > MIB // 2 else None
    assert opened().put_file(source, "key") == sha256_of(source)
    assert sent == []


@pytest.mark.slow
def test_another_file_of_the_same_size_is_overwritten(opened: Callable[..., ObjectStore], tmp_path: Path) -> None:
    source = made(tmp_path, 2 * MIB)
    opened().put_file(source, "key")
    source.write_bytes(bytes(source.stat().st_size))
    assert opened().put_file(source, "key") == opened().hash_of("key") == sha256_of(source)
