"""Settings of a bucket take effect on real requests: CA, region, bandwidth, sending and copying."""

import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import StoreError
from tasks.settings import StoreConfig
from tasks.storage.checkpoints.listing import verify_checkpoints
from tasks.storage.checkpoints.paths import archive_checkpoint
from tasks.storage.object_store import ObjectStore, open_store
from tasks.storage.s3_upload import Throttle

BUCKET = "faults"
MIB = 1 << 20
LARGE_BYTES = 11 * MIB
on_moto = pytest.mark.parametrize("server", ["moto"], indirect=True)
Open = Callable[..., ObjectStore]


@pytest.fixture
def opened(proxy: Any, tmp_path: Path) -> Open:
    """Opens a prefix in the bucket that no other test uses, through the proxy."""
    uri = f"s3://{BUCKET}/{tmp_path.name}-{proxy.upstream}"
    return lambda **settings: open_store(
        uri, config=StoreConfig(**{"endpoint_url": proxy.address, "part_mib": 5, **settings})
    )


@pytest.fixture
def parts(proxy: Any) -> list[str]:
    """The requests that carried a part of a large file."""
    seen: list[str] = []
    proxy.plan = lambda method, path, size: seen.append(f"{method} {path}") if size > MIB // 2 else None
    return seen


def checkpoint(place: Path, weights: bytes, frozen: bytes) -> Path:
    place.mkdir()
    (place / "adapter_model.safetensors").write_bytes(weights)
    (place / "projector.safetensors").write_bytes(frozen)
    return place


@pytest.mark.slow
def test_a_complete_file_without_a_manifest_is_not_sent_again(opened: Open, proxy: Any, tmp_path: Path) -> None:
    made = checkpoint(tmp_path / "made", b"weights", bytes(LARGE_BYTES))
    proxy.plan = lambda method, path, size: (
        {"status": 403, "code": "AccessDenied"} if method == "PUT" and path.endswith("MANIFEST.json") else None
    )
    with pytest.raises(StoreError, match="access is denied"):
        archive_checkpoint(made, opened(), "run", 1)
    sent: list[str] = []
    proxy.plan = lambda method, path, size: sent.append(path) if size > MIB // 2 else None
    archive_checkpoint(made, opened(), "run", 1)
    assert sent == []
    assert [line.whole for line in verify_checkpoints(opened())] == [True]


@pytest.mark.slow
def test_a_large_file_of_another_checkpoint_is_copied_by_the_server(
    opened: Open, parts: list[str], tmp_path: Path
) -> None:
    archive_checkpoint(checkpoint(tmp_path / "1", b"first", bytes(LARGE_BYTES)), opened(), "run", 1)
    parts.clear()
    archived = archive_checkpoint(checkpoint(tmp_path / "2", b"other", bytes(LARGE_BYTES)), opened(), "run", 2)
    assert (archived.sent, parts) == (1, [])
    assert [line.whole for line in verify_checkpoints(opened())] == [True, True]


@pytest.mark.slow
def test_a_file_that_was_replaced_in_the_store_is_sent_and_not_copied(
    opened: Open, server: Any, tmp_path: Path
) -> None:
    store = opened()
    archive_checkpoint(checkpoint(tmp_path / "1", b"first", bytes(LARGE_BYTES)), store, "run", 1)
    (key,) = [key for key in store.sizes_below("run") if key.endswith("projector.safetensors")]
    # content of the same size and with the same end
    replaced = b"x" + bytes(LARGE_BYTES - 1)
    server.client.put_object(Bucket=BUCKET, Key=f"{store.uri.split('/', 3)[3]}/{key}", Body=replaced)
    archived = archive_checkpoint(checkpoint(tmp_path / "2", b"other", bytes(LARGE_BYTES)), store, "run", 2)
    assert archived.sent == 2
    assert [line.whole for line in verify_checkpoints(store)] == [False, True]


@pytest.mark.slow
def test_large_files_of_one_size_and_other_content_are_not_copied(opened: Open, tmp_path: Path) -> None:
    for step, start in ((1, b"a"), (2, b"b")):
        frozen = start + bytes(LARGE_BYTES - 1)
        archived = archive_checkpoint(checkpoint(tmp_path / str(step), b"w%d" % step, frozen), opened(), "run", step)
        assert archived.sent == 2
    assert [line.whole for line in verify_checkpoints(opened())] == [True, True]


@pytest.fixture
def authority(proxy: Any, tmp_path: Path) -> Path:
    """The proxy speaks TLS from now on; the certificate that it shows is its own authority."""
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run(
        [*command, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # the handshake belongs to the thread of its connection, not to the one that accepts them
    proxy.socket = context.wrap_socket(proxy.socket, server_side=True, do_handshake_on_connect=False)
    proxy.address = proxy.address.replace("http:", "https:")
    return certificate


@on_moto
def test_a_server_with_a_private_ca_is_trusted_with_ca_bundle(authority: Path, opened: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    store = opened(ca_bundle=authority)
    assert store.hash_of("key") is None
    assert store.put_file(tmp_path / "file", "key") == store.hash_of("key")


@on_moto
def test_a_server_with_a_private_ca_is_refused_without_ca_bundle(authority: Path, opened: Open) -> None:
    with pytest.raises(StoreError, match=r"not trusted: give its CA as store\.ca_bundle"):
        opened().read_text("key")


@on_moto
def test_requests_are_signed_for_the_region_of_the_bucket(opened: Open) -> None:
    assert "eu-central-7" in opened(region="eu-central-7").signed_link("key", 60)  # type: ignore[attr-defined]


def test_the_throttle_limits_the_rate_of_all_senders() -> None:
    throttle, start = Throttle(1000.0), time.monotonic()
    for _ in range(3):
        throttle.take(100)
    # the third waits for the tenth of a second that each of the first two takes
    assert time.monotonic() - start >= 0.2


@on_moto
def test_parts_are_sent_at_the_configured_rate(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(LARGE_BYTES))
    start = time.monotonic()
    opened(bandwidth_mib_s=20).put_file(tmp_path / "file", "key")
    # the last of three parts waits for the ten MiB before it
    assert time.monotonic() - start >= 0.5
