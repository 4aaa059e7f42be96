"""The archive: what a save costs the trainer, and uploads compared with the AWS command line to the same server.

The AWS command line is installed into an environment of its own in the benchmark's folder: its botocore is another.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from rows import Row

from tasks.storage.checkpoints.paths import archive_checkpoint
from tasks.storage.checkpoints.staging import stage_checkpoint
from tasks.storage.object_store import ObjectStore, open_store
from tasks.training.saved_checkpoints import mark_complete

MIB = 1 << 20
BUCKET = "bench"
BIG_FILE_BYTES, BIG_FILES = 256 * MIB, 8
SAVES = 20
# the fastest round of each counts: other load on the machine only makes it slower
ROUNDS = 3
RADOSGW = Path(__file__).resolve().parents[1] / "support" / "radosgw.sh"
KEYS = {"AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "testsecret", "AWS_DEFAULT_REGION": "us-east-1"}


def staging_beside_saving(folder: Path) -> list[Row]:
    """Time that a trainer is held for the store, over the time of writing and syncing a checkpoint of 64 MiB."""
    saving_s = held_s = 0.0
    for step in range(1, SAVES + 1):
        checkpoint = folder / f"checkpoint-{step}"
        start = time.perf_counter()
        write_checkpoint(checkpoint, [os.urandom(MIB) * 16] * 4)
        mark_complete(checkpoint, step, "bench")
        saved = time.perf_counter()
        stage_checkpoint(checkpoint, folder / "staging")
        held_s += time.perf_counter() - saved
        saving_s += saved - start
        shutil.rmtree(checkpoint)
        shutil.rmtree(folder / "staging" / checkpoint.name)
    print(f"  held {1000 * held_s / SAVES:.2f} ms a checkpoint; saving it takes {1000 * saving_s / SAVES:.0f} ms")
    return [Row("time a trainer is held, relative to saving", held_s / saving_s, "<= 0.02")]


def uploading_beside_aws(folder: Path) -> list[Row]:
    """Time of an upload of 2 GiB over that of `aws s3 cp --recursive`, and of a second one that shares half of it."""
    first, second = folder / "checkpoint-1", folder / "checkpoint-2"
    write_checkpoint(first, [os.urandom(BIG_FILE_BYTES) for _ in range(BIG_FILES)])
    for number, path in enumerate(sorted(first.iterdir())):
        second.mkdir(exist_ok=True)
        if number % 2:
            (second / path.name).hardlink_to(path)
        else:
            (second / path.name).write_bytes(os.urandom(BIG_FILE_BYTES))
    aws = install_aws(folder / "aws")
    with s3_server(folder / "server") as address:
        os.environ.update(KEYS)
        client = boto3.Session().client("s3", endpoint_url=address)
        client.create_bucket(Bucket=BUCKET)
        store = open_store(f"s3://{BUCKET}", address)
        aws_s, ours_s, second_s = [], [], []
        for number in range(ROUNDS):
            aws_s.append(seconds(lambda: copy_with_aws(aws, first, address)))
            empty(store)
            ours_s.append(seconds(lambda run=f"run-{number}": archive_checkpoint(first, store, run, 1)))
            second_s.append(seconds(lambda run=f"run-{number}": archive_checkpoint(second, store, run, 2)))
            empty(store)
    print(f"  aws {min(aws_s):.1f} s, ours {min(ours_s):.1f} s, the second one {min(second_s):.1f} s")
    return [
        Row("upload of 2 GiB, relative to aws s3 cp", min(ours_s) / min(aws_s), "<= 1"),
        Row("upload that shares half its files, relative to the first", min(second_s) / min(ours_s), "<= 0.6"),
    ]


def write_checkpoint(checkpoint: Path, contents: list[bytes]) -> None:
    """A checkpoint of some files, each synced."""
    checkpoint.mkdir(parents=True)
    for number, content in enumerate(contents):
        (checkpoint / f"model-{number:05}.safetensors").write_bytes(content)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of some work, with nothing left to be written from before."""
    os.sync()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def empty(store: ObjectStore) -> None:
    """Remove all that a store holds."""
    for key in store.sizes_below(""):
        store.delete(key)


def install_aws(folder: Path) -> Path:
    """The AWS command line in an environment of its own."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", "awscli"], check=True, capture_output=True)
    return folder / "bin" / "aws"


def copy_with_aws(aws: Path, checkpoint: Path, address: str) -> None:
    """Upload a folder as everybody does."""
    command = [str(aws), "--endpoint-url", address, "s3", "cp", "--recursive", "--quiet", str(checkpoint)]
    subprocess.run([*command, f"s3://{BUCKET}/aws/"], check=True, env={**os.environ, **KEYS})


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """Ceph's gateway where it is installed, or else moto; its address."""
    folder.mkdir()
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    if shutil.which("radosgw") and shutil.which("ceph-osd"):
        environment: dict[str, Any] = {**os.environ, "D": str(folder), "PORT": str(port), "MON_PORT": str(free_port())}
        subprocess.run(["bash", str(RADOSGW)], env=environment, check=True, capture_output=True)
        try:
            yield address
        finally:
            for pid in (folder / "run").glob("*.pid"):
                os.kill(int(pid.read_text()), 9)
        return
    print("  radosgw is not installed: the server is moto, which is slow itself")
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stderr=subprocess.DEVNULL)
    try:
        while not answers(address):
            time.sleep(0.1)
        yield address
    finally:
        server.kill()
        server.wait()


def answers(address: str) -> bool:
    """Whether a server is up."""
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
