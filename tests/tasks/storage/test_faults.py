"""Every complete checkpoint is archived intact, whatever is killed or fails between the trainer and the store.

Real processes are really killed, real servers are asked, and a proxy between them cuts, delays and spoils.
"""

import os
import random
import signal
import subprocess
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from tasks.files import read_json, sha256_of
from tasks.storage.checkpoints.listing import verify_checkpoints
from tasks.storage.checkpoints.paths import checkpoint_paths
from tasks.storage.object_store import ObjectStore, open_store
from tasks.storage.remote_folders import read_remote_manifest
from tasks.storage.s3_checksum_probe import PROBE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
BUCKET = "faults"
WEIGHTS = "adapter_model.safetensors"
MIB = 1 << 20
TWO_PARTS = 5 * MIB + 100_000
# runs side by side
AT_ONCE = 6
DONE, USER_ERROR, KILLED = 0, 2, -9
Start = Callable[..., Any]


class World:
    """A run's folder and its prefix in a store."""

    def __init__(self, root: Path, server: Any, start: Start, run: str = "run", uri: str | None = None) -> None:
        self.root, self.server, self.start, self.run = root, server, start, run
        self.uri = uri or f"s3://{BUCKET}/{root.parent.name}-{server.port}"
        self.seen: dict[str, int] = {}
        (root / "training").mkdir(parents=True)

    @cached_property
    def store(self) -> ObjectStore:
        return open_store(self.uri, self.server.address)

    def beside(self, name: str, run: str) -> "World":
        """Another one with the same store."""
        return World(self.root.parent / name, self.server, self.start, run, self.uri)

    def job(self, address: str | None = None, **other: Any) -> dict[str, Any]:
        return {
            "root": str(self.root), "uri": self.uri, "endpoint": address or self.server.address, "run": self.run,
            "steps": [1, 2, 3], "weights": 1000, "keep": 1, "alarms": 1, "events": None, "rules": {}, "kill_in": 2,
            "kill_trainer_at": None, "kill_uploader_at": None, "saved_at_s": None, **other,
        }  # fmt: skip

    def go(self, address: str | None = None, **other: Any) -> int:
        return go_all([self], [{"address": address, **other}])[0]

    def look(self) -> None:
        """Note each complete checkpoint on the disk."""
        for marker in self.root.rglob("COMPLETE.json"):
            weights = marker.with_name(WEIGHTS)
            if not marker.parent.name.startswith(".") and weights.is_file():
                self.seen[sha256_of(weights)] = read_json(marker)["step"]

    def stored(self) -> dict[str, int]:
        found = {}
        for place in checkpoint_paths(self.store, self.run):
            manifest = read_remote_manifest(self.store, place.folder)
            assert manifest
            found[manifest.files[WEIGHTS]["sha256"]] = place.step
        return found


def go_all(worlds: list[World], jobs: list[dict[str, Any]]) -> list[int]:
    """Run worlds side by side, some at a time; their exit codes."""
    codes: list[int] = []
    for first in range(0, len(worlds), AT_ONCE):
        pairs = list(zip(worlds, jobs, strict=True))[first : first + AT_ONCE]
        codes += worlds[0].start(*(world.job(**job) for world, job in pairs)).wait()
    for world in worlds:
        world.look()
    return codes


def require_nothing_lost(*worlds: World) -> int:
    """Assert that all complete checkpoints are in the store, with no remains elsewhere; returns their number."""
    total = 0
    for world in worlds:
        stored = world.stored()
        assert {**stored, **world.seen} == stored
        assert list((world.root / "training" / "staging").iterdir()) == []
        total += len(stored)
    assert all(line.whole for line in verify_checkpoints(world.store))
    assert not [key for key in world.store.sizes_below("") if key.endswith((".claim", PROBE))]
    uploads = world.server.client.list_multipart_uploads(Bucket=BUCKET)
    assert [upload for upload in uploads.get("Uploads", ()) if world.uri.split("/")[-1] in upload["Key"]] == []
    return total


@pytest.fixture
def world(tmp_path: Path, server: Any, toy_runs: Start) -> World:
    return World(tmp_path / "world", server, toy_runs)


@pytest.fixture
def count(fault_rows: list[Any], server: Any) -> Callable[[str, int, int], None]:
    name = type(server).__name__.lower()
    return lambda fault, tried, checkpoints: fault_rows.append((f"{fault}, {name}", tried, checkpoints, 0))


KILLS = {"trainer": ("kill_trainer_at",), "uploader": ("kill_uploader_at",)}
KILLS["both"] = (*KILLS["trainer"], *KILLS["uploader"])
POINTS = {"trainer": 14, "uploader": 18, "both": 10}
# a server in memory answers at once; the other one shows that it is no matter of moto
FEWER = 4


@pytest.mark.parametrize("who", KILLS)
def test_a_kill_at_any_point_loses_no_checkpoint(
    who: str, world: World, seeded: random.Random, count: Callable[[str, int, int], None]
) -> None:
    points = POINTS[who] if type(world.server).__name__ == "Moto" else POINTS[who] // FEWER
    last = steps_of(world)
    drawn = {name: seeded.sample(range(1, last[name] + 1), points) for name in KILLS[who]}
    spots = [world.beside(f"{who}-{number}", f"{who}-{number}") for number in range(points)]
    jobs = [{"weights": TWO_PARTS, **{name: drawn[name][number] for name in drawn}} for number in range(points)]
    codes = go_all(spots, jobs)
    killed = sum(code == KILLED or trainer_was_killed(spot) for code, spot in zip(codes, spots, strict=True))
    assert go_all(spots, [{}] * points) == [DONE] * points
    checkpoints = require_nothing_lost(*spots)
    # fewer when an uploader happens to need fewer steps than the first time
    assert killed >= points * 0.7
    count(f"SIGKILL of {who}", killed, checkpoints)


def steps_of(world: World) -> dict[str, int]:
    """The number of steps of an uploader, and of a trainer from a checkpoint's last file until it is staged."""
    assert world.go(weights=TWO_PARTS, kill_trainer_at=10_000) == DONE
    (line,) = [line for line in (world.root / "lines").read_text().split("\n") if line.startswith("steps")]
    return {
        "kill_uploader_at": int((world.root / "uploader_steps").read_text()),
        "kill_trainer_at": int(line.split()[1]),
    }


def trainer_was_killed(world: World) -> bool:
    lines = (world.root / "lines").read_text().split("\n")
    return "armed 2" in lines and "saved 3" not in lines


def every(number: int, fault: dict[str, Any], least_bytes: int = 0) -> Callable[..., dict[str, Any] | None]:
    """A plan that spoils each so many-th request that carries so many bytes."""
    passed = [0]

    def plan(_method: str, _path: str, size: int) -> dict[str, Any] | None:
        if size < least_bytes:
            return None
        passed[0] += 1
        return fault if passed[0] % number == 0 else None

    return plan


FAULTS: dict[str, tuple[int, dict[str, Any], int]] = {
    "500": (4, {"status": 500, "code": "InternalError"}, 0),
    "503": (4, {"status": 503, "code": "ServiceUnavailable"}, 0),
    "SlowDown": (4, {"status": 503, "code": "SlowDown"}, 0),
    "cut after k bytes": (3, {"cut_request": 70_001}, 1),
    "answer cut": (5, {"cut_answer": 0}, 0),
    "corrupted byte": (2, {"corrupt": 12_345}, 1),
    "slow network": (1, {"pause_s": 0.03}, 0),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_network_loses_no_checkpoint(
    name: str, world: World, proxy: Any, count: Callable[[str, int, int], None]
) -> None:
    number, fault, least_bytes = FAULTS[name]
    proxy.plan = every(number, fault, least_bytes)
    assert world.go(proxy.address, weights=TWO_PARTS) == DONE
    count(name, 1, require_nothing_lost(world))


def test_saves_faster_than_uploads_are_all_archived(
    world: World, proxy: Any, count: Callable[[str, int, int], None]
) -> None:
    proxy.plan = every(1, {"pause_s": 0.02})
    assert world.go(proxy.address, steps=list(range(1, 9)), keep=1) == DONE
    assert require_nothing_lost(world) == 8
    count("saves faster than uploads", 1, 8)


EVENTS: dict[str, dict[str, Any]] = {
    "event lost": {"alarms": 0},
    "event twice": {"alarms": 2},
    "one event of three heard": {"events": {"3": [2]}},
    "event twice, at the same time": {"events": {"1": [1, 1], "2": [2, 2], "3": [3, 3]}},
    "events out of order": {"events": {"2": [2], "3": [3, 1]}},
}


@pytest.mark.parametrize("name", EVENTS)
def test_lost_repeated_and_reordered_events_lose_no_checkpoint(
    name: str, world: World, count: Callable[[str, int, int], None]
) -> None:
    assert world.go(**EVENTS[name]) == DONE
    assert require_nothing_lost(world) == 3
    count(name, 1, 3)


@pytest.mark.parametrize("saved_at_s", [None, 1], ids=["as it comes", "saved at the same time"])
def test_two_runs_with_the_same_name_keep_all_their_checkpoints(
    saved_at_s: int | None, world: World, count: Callable[[str, int, int], None]
) -> None:
    other = world.beside("other", world.run)
    assert go_all([world, other], [{"weights": TWO_PARTS, "saved_at_s": saved_at_s}] * 2) == [DONE, DONE]
    # the store of both holds those of both
    assert require_nothing_lost(other) == require_nothing_lost(world) == 6
    count("two runs with the same name", 1, 6)


def test_an_upload_continues_after_the_server_was_killed_and_restarted(
    world: World, proxy: Any, count: Callable[[str, int, int], None]
) -> None:
    large: list[int] = []
    turn = Lock()

    def plan(_method: str, _path: str, size: int) -> None:
        # requests come side by side, and only one of them is to kill
        with turn:
            large.extend([size] if size > 4 * MIB else [])
            if len(large) == 2 and size > 4 * MIB:
                world.server.kill()
                world.server.restart()

    proxy.plan = plan
    assert world.go(proxy.address, weights=16 * MIB, kill_in=1) == DONE
    count("server killed and restarted", 1, require_nothing_lost(world))


def test_a_killed_upload_continues_with_the_parts_in_the_store(world: World, proxy: Any) -> None:
    parts: list[int] = []
    children: list[int] = []

    def plan(_method: str, _path: str, size: int) -> None:
        parts.extend([size] if size > 4 * MIB else [])
        if len(parts) == 4 and children:
            os.kill(children.pop(), signal.SIGKILL)

    proxy.plan = plan
    started = world.start(world.job(proxy.address, weights=31 * MIB, kill_in=1, steps=[1]))
    children.extend(started.pids)
    assert started.wait() == [KILLED]
    first = len(parts)
    assert world.go(proxy.address, steps=[1]) == DONE
    require_nothing_lost(world)
    # six parts of 5 MiB, of which at most those under way when it died are sent twice
    assert len(parts) - first < 6
    assert len(parts) <= 6 + 3


def test_a_full_disk_in_staging_is_reported_and_later_recovered_from(
    tmp_path: Path, moto: Any, keys: None, toy_runs: Start, capfd: pytest.CaptureFixture[str], fault_rows: list[Any]
) -> None:
    world = World(tmp_path / "world", moto, toy_runs)
    staging = world.root / "training" / "staging"
    staging.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(staging)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here: that takes root")
    try:
        assert world.go() == USER_ERROR
    finally:
        subprocess.run(["umount", str(staging)], check=True)
    assert world.seen
    assert world.go() == DONE
    fault_rows.append(("full disk in staging, moto", 1, require_nothing_lost(world), 0))
