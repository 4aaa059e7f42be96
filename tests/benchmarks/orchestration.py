"""Prefect: what it adds to an experiment compared with the same stages as plain functions, and what its idle parts use.

The experiment is the demo with a toy model that is given, not pre-trained, and two of its twelve epochs, as the demo
itself takes minutes. What Prefect adds does not depend on how long the stages take.
"""

import os
import resource
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rows import Row

from deployments.configuration import load_config
from tasks.files import read_json
from tasks.model.llava.tiny import create_tiny
from tasks.paths import Workspace
from tasks.settings import ArchiveConfig
from tasks.storage.checkpoints.archiver import Archive
from tasks.storage.checkpoints.uploader import Uploader
from tasks.storage.object_store import open_store

REPO = Path(__file__).resolve().parents[2]
PREFECT = Path(sys.executable).with_name("prefect")
TEXTS = ("What is the topic of this image?", "an airport with two planes on a runway", "Is it rural or urban?")
SMALLER = ("data.sample.scenes=200", "training.num_train_epochs=2", "inference.max_new_tokens=8")
EXTRA_S, EXTRA_SHARE = 25, 0.05
IDLE_S, SETTLED_S = 20, 15
TICKS_S = os.sysconf("SC_CLK_TCK")


def experiment_beside_plain_functions(folder: Path) -> list[Row]:
    """Time that Prefect adds to an experiment, over what it may: 25 s and 5 % of the stages' own time."""
    create_tiny(folder / "tiny", TEXTS, seed=28)
    file = folder / "smaller.yaml"
    file.write_text(load_config("demo", [*SMALLER, f"model.base={folder / 'tiny'}"]).as_yaml(), encoding="utf-8")
    plain, flows = folder / "plain", folder / "flows"
    plain_s = used_s([str(REPO / "tests" / "benchmarks" / "plain_experiment.py"), str(file), str(plain)], folder)
    ours_s = used_s(["-m", "flows.cli", "run", str(file), "--name", "flows", "--workspace", str(flows)], folder)
    for label in ("base", "final"):
        require_same_scores(plain, flows, label)
    for kind, stages_s, whole_s in zip(("wall", "CPU"), plain_s, ours_s, strict=True):
        print(f"  {kind} time: stages {stages_s:.1f} s, flows {whole_s:.1f} s, {whole_s - stages_s:.1f} s more")
    allowed_s = EXTRA_S + EXTRA_SHARE * plain_s[0]
    return [
        Row(
            "time that Prefect adds, relative to 25 s and 5 % of stages",
            (ours_s[0] - plain_s[0]) / allowed_s,
            "<= 1",
        )
    ]


def used_s(command: list[str], folder: Path) -> tuple[float, float]:
    """Wall and processor time of a program and all that it starts; Prefect is as on a machine that never ran it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with (folder / "said.log").open("ab") as log:
        subprocess.run(
            [sys.executable, *command],
            env={**inherited, "PREFECT_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"},
            cwd=folder,
            check=True,
            stdout=log,
            stderr=log,
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, cpu_s


def require_same_scores(plain: Path, flows: Path, label: str) -> None:
    """Raise AssertionError unless both have done the same work."""
    found = [read_json(Workspace(place).run(place.name).report(label) / "metrics.json") for place in (plain, flows)]
    assert found[0]["vqa"] == found[1]["vqa"] and found[0]["captioning"] == found[1]["captioning"], label


def idle_parts(folder: Path) -> list[Row]:
    """Processor time of a worker and an uploader with nothing to do, as a share of a core; the server's is told."""
    archive = Archive(
        folder / "staging", open_store((folder / "store").as_uri()), "idle", ArchiveConfig(), lambda *_: None
    )
    with (
        started_server(folder) as (server, environment),
        started_worker(environment, folder) as worker,
        Uploader(archive),
    ):
        # a worker asks all it wants to know when it starts
        time.sleep(SETTLED_S)
        parts = {"server": server, "worker": worker, "uploader": os.getpid()}
        before = {name: processor_s(pid) for name, pid in parts.items()}
        time.sleep(IDLE_S)
        shares = {name: (processor_s(pid) - before[name]) / IDLE_S for name, pid in parts.items()}
    print("  of a core: " + ", ".join(f"{name} {100 * share:.2f} %" for name, share in shares.items()))
    return [
        Row("processor time of an idle worker, of a core", shares["worker"], "<= 0.02"),
        Row("processor time of an idle uploader, of a core", shares["uploader"], "<= 0.01"),
    ]


def processor_s(pid: int) -> float:
    """Processor time of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS_S


@contextmanager
def started_server(folder: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """A server as the documentation starts it, and the environment of its clients."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/api"
    settings = (REPO / "infra" / "prefect-server.env").read_text(encoding="utf-8").split("\n")
    environment = {
        **os.environ,
        **dict(line.split("=", 1) for line in settings if "=" in line and not line.startswith("#")),
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_API_URL": address,
    }
    with running([str(PREFECT), "server", "start", "--port", str(port)], environment, folder) as server:
        while not answers(f"{address}/health"):
            time.sleep(0.2)
        yield server, environment


def answers(address: str) -> bool:
    """Whether a server is up."""
    with suppress(OSError):
        urllib.request.urlopen(address, timeout=5).close()
        return True
    return False


@contextmanager
def started_worker(environment: dict[str, str], folder: Path) -> Iterator[int]:
    """A worker of a pool of its own."""
    command = [str(PREFECT), "worker", "start", "--pool", "idle", "--type", "process"]
    with running(command, environment, folder) as worker:
        yield worker


@contextmanager
def running(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[int]:
    """A process while it is needed; its id."""
    with (folder / "said.log").open("ab") as log:
        child = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        yield child.pid
    finally:
        child.terminate()
        child.wait()
