"""What the tests of faults share: S3 servers, a proxy that spoils what passes, runs whose processes can be killed."""

import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.retries.standard import ExponentialBackoff

HERE = Path(__file__).parent
KEYS = {"AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "testsecret", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "faults"
PATIENCE_S = 60
ROWS: list[tuple[str, int, int, int]] = []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what was tried and what was lost."""
    if ROWS:
        width = max(len(row[0]) for row in ROWS)
        terminalreporter.section("faults of the archive")
        terminalreporter.line(f"{'fault':{width}}  tried  checkpoints  lost")
        for name, tried, checkpoints, lost in ROWS:
            terminalreporter.line(f"{name:{width}}  {tried:5}  {checkpoints:11}  {lost:4}")
        total = [sum(row[column] for row in ROWS) for column in (1, 2, 3)]
        terminalreporter.line(f"{'all':{width}}  {total[0]:5}  {total[1]:11}  {total[2]:4}")


@pytest.fixture(scope="session")
def fault_rows() -> list[tuple[str, int, int, int]]:
    """Fault, times tried, checkpoints saved, checkpoints lost; printed at the end."""
    return ROWS


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 tries as often as ever, and does not wait up to 15 s between its tries."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.01)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**KEYS, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
    """A moto server in a process of its own; what it holds is gone with it."""

    def __init__(self) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "moto.server", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until_up(self.address)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.start()
        self.client.create_bucket(Bucket=BUCKET)


class Radosgw:
    """Ceph's gateway with a monitor and a store in memory; killed, the gateway comes back to what it held."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        environment = {
            **os.environ, "D": str(folder), "PORT": str(self.port), "MON_PORT": str(free_port()),
            "ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"], "SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"],
        }  # fmt: skip
        with (folder / "start.log").open("w") as log:
            subprocess.run(
                ["bash", str(HERE / "radosgw.sh")], env=environment, check=True, stdout=log, stderr=log, timeout=180
            )

    def kill(self, name: str = "client.rgw.a") -> None:
        pid = int((self.folder / "run" / f"{name}.pid").read_text())
        process = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        # until it is gone it holds its lock, and another one would not start
        select.select([process], [], [], PATIENCE_S)
        os.close(process)

    def restart(self) -> None:
        command = ["radosgw", "-c", str(self.folder / "ceph.conf"), "-n", "client.rgw.a"]
        subprocess.run(command, check=True, capture_output=True)
        wait_until_up(self.address)

    def stop(self) -> None:
        for name in ("client.rgw.a", "osd.0", "mon.a"):
            self.kill(name)


def client(address: str) -> Any:
    session = boto3.Session(KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")
    return session.client("s3", endpoint_url=address)


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    server = Moto()
    server.client = client(server.address)
    server.client.create_bucket(Bucket=BUCKET)
    yield server
    server.kill()


@pytest.fixture(scope="session")
def radosgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Radosgw]:
    if missing := [name for name in ("radosgw", "ceph-mon", "ceph-osd", "ceph") if not shutil.which(name)]:
        pytest.skip(f"{missing[0]} is not installed (Debian: radosgw ceph-mon ceph-osd ceph-common)")
    server = Radosgw(tmp_path_factory.mktemp("rgw"))
    server.client = client(server.address)
    server.client.create_bucket(Bucket=BUCKET)
    yield server
    server.stop()


@pytest.fixture(params=["moto", "radosgw"])
def server(request: pytest.FixtureRequest, keys: None) -> Any:
    """A real S3 server: one after the other."""
    return request.getfixturevalue(request.param)


class Spoiler(BaseHTTPRequestHandler):
    """Hands a request on and its answer back, or does with them what the proxy's plan says."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (OSError, HTTPException):
            # cut on purpose, or the server behind was killed
            self.close_connection = True

    def _pass(self) -> None:
        """Hand a request on; `proxy.refused` holds what the server did not take."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.plan(self.command, self.path, len(body)) or {}
        if pause_s := fault.get("pause_s"):
            time.sleep(pause_s)
        if code := fault.get("status"):
            return self._answer(code, {}, f"<Error><Code>{fault['code']}</Code></Error>".encode())
        if "corrupt" in fault and body:
            place = fault["corrupt"] % len(body)
            body = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        upstream = HTTPConnection("127.0.0.1", self.server.upstream, timeout=PATIENCE_S)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            if "cut_request" in fault:
                upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in headers.items():
                    upstream.putheader(name, value)
                upstream.endheaders(body[: fault["cut_request"] % (len(body) or 1)])
                return self._cut()
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        if answer.status == 400:
            self.server.refused.append(content.decode())
        self._answer(answer.status, dict(answer.headers), content, fault.get("cut_answer"))

    def _answer(self, status: int, headers: dict[str, str], content: bytes, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                self.send_header(name, value)
        length = headers.get("Content-Length", len(content)) if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length))
        if cut is not None:
            return self._cut()
        self.end_headers()
        self.wfile.write(content)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815 - names that http.server calls

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def proxy(server: Any) -> Iterator[Any]:
    """A proxy before the server; `proxy.plan(method, path, size)` names the fault of a request."""
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Spoiler)
    listener.daemon_threads = True
    listener.upstream = server.port  # type: ignore[attr-defined]
    listener.plan = lambda *_: None  # type: ignore[attr-defined]
    listener.refused = []  # type: ignore[attr-defined]
    listener.address = f"http://127.0.0.1:{listener.server_port}"  # type: ignore[attr-defined]
    thread = Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield listener
    listener.shutdown()
    listener.server_close()
    thread.join()


@pytest.fixture(scope="session")
def toy_runs() -> Iterator[Callable[..., Any]]:
    """Start toy runs: `start(job, ...)` gives an object with `pids` and `wait()`, which gives exit codes."""
    environment = {**os.environ, **KEYS, "AWS_EC2_METADATA_DISABLED": "true", "PYTHONPATH": str(HERE.parents[2])}
    process = subprocess.Popen(
        [sys.executable, str(HERE / "toy_run.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert process.stdin and process.stdout
    answers = process.stdout

    def start(*jobs: dict[str, Any]) -> Any:
        process.stdin.write(json.dumps({"jobs": jobs}) + "\n")
        process.stdin.flush()
        pids = json.loads(answers.readline())["pids"]
        return SimpleNamespace(pids=pids, wait=lambda: json.loads(answers.readline())["codes"])

    yield start
    process.stdin.close()
    process.wait(timeout=PATIENCE_S)
    answers.close()


@pytest.fixture
def seeded() -> random.Random:
    """The points at which faults are tried are drawn, the same ones each time."""
    return random.Random(28)
