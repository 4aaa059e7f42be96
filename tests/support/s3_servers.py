"""Real S3 servers: moto and Ceph's gateway, which can be killed and restarted."""

import os
import select
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.processes import free_port

KEYS = {"AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "testsecret", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "faults"
MOTO = Path(__file__).with_name("moto_server.py")
RADOSGW = Path(__file__).with_name("radosgw.sh")
PATIENCE_S = 60


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """The address of an S3 server that accepts any keys; use a bucket name that no other test uses."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 retries as often as usual, but does not wait up to 15 s between its attempts."""
    from botocore.retries.standard import ExponentialBackoff

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.01)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment has the keys of the servers."""
    for name, value in {**KEYS, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)


def wait_until_up(address: str) -> None:
    for _ in range(PATIENCE_S * 10):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
                return
            time.sleep(0.1)
    raise AssertionError(f"{address} does not answer")


class Moto:
    """A moto server in its own process; its content is lost when it ends."""

    def __init__(self) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, str(MOTO), "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until_up(self.address)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.start()
        self.client.create_bucket(Bucket=BUCKET)


class Radosgw:
    """Ceph's gateway with a monitor and a store in memory; a gateway that is killed and restarted has its content."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        environment = {
            **os.environ, "D": str(folder), "PORT": str(self.port), "MON_PORT": str(free_port()),
            "ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"], "SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"],
        }  # fmt: skip
        with (folder / "start.log").open("w") as log:
            subprocess.run(["bash", str(RADOSGW)], env=environment, check=True, stdout=log, stderr=log, timeout=180)

    def kill(self, name: str = "client.rgw.a") -> None:
        pid = int((self.folder / "run" / f"{name}.pid").read_text())
        process = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        # it holds its lock until it has ended, and another one would not start
        select.select([process], [], [], PATIENCE_S)
        os.close(process)

    def restart(self) -> None:
        command = ["radosgw", "-c", str(self.folder / "ceph.conf"), "-n", "client.rgw.a"]
        subprocess.run(command, check=True, capture_output=True)
        wait_until_up(self.address)

    def stop(self) -> None:
        for name in ("client.rgw.a", "osd.0", "mon.a"):
            self.kill(name)


def client_of(address: str) -> Any:
    """A boto3 client of a server."""
    import boto3

    session = boto3.Session(KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")
    return session.client("s3", endpoint_url=address)


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    """A moto server with an empty bucket."""
    server = Moto()
    server.client = client_of(server.address)
    server.client.create_bucket(Bucket=BUCKET)
    yield server
    server.kill()


@pytest.fixture(scope="session")
def radosgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Radosgw]:
    """A Ceph gateway with an empty bucket."""
    if missing := [name for name in ("radosgw", "ceph-mon", "ceph-osd", "ceph") if not shutil.which(name)]:
        pytest.skip(f"{missing[0]} is not installed (Debian: radosgw ceph-mon ceph-osd ceph-common)")
    server = Radosgw(tmp_path_factory.mktemp("rgw"))
    server.client = client_of(server.address)
    server.client.create_bucket(Bucket=BUCKET)
    yield server
    server.stop()


@pytest.fixture(params=["moto", "radosgw"])
def server(request: pytest.FixtureRequest, keys: None) -> Any:
    """Both S3 servers, one after the other."""
    return request.getfixturevalue(request.param)
