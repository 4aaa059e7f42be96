"""`rsvlm data fetch` in a child process: with a faulty server, after a kill, and with a person's help."""

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from support.locations import REPO

pytestmark = pytest.mark.slow

FOLDERS = {
    "NWPU": "NWPU/NWPU_images/airport/airport_{:03}.jpg",
    "RSICD": "RSICD/images/{}.jpg",
    "LR": "LR/Train/{}.tif",
    "DOTA": "DOTA/images/P{:04}.png",
}
IMAGE_BYTES = 100_000
IMAGES = 20
FETCH_ENDS_S = 300
PROGRESS = ("instructions", "nwpu", "rsicd", "lr", "dota-1", "dota-2", "dota-3")


def image(name: str) -> bytes:
    """Incompressible bytes."""
    return name.encode() + os.urandom(IMAGE_BYTES)


@pytest.fixture
def images() -> dict[str, bytes]:
    """The images of all sources, by their path in records."""
    names = [pattern.format(number) for pattern in FOLDERS.values() for number in range(IMAGES)]
    return {name: image(name) for name in names}


def records_of(images: dict[str, bytes]) -> bytes:
    turns = [{"from": "human", "value": "<image>\nIs there a road?"}, {"from": "gpt", "value": "yes"}]
    return json.dumps([{"id": name, "image": name, "conversations": turns} for name in images]).encode()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in files.items():
            file.writestr(f"some/{name.rpartition('/')[0].rpartition('/')[2]}/{name.rpartition('/')[2]}", data)
    return buffer.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, data in files.items():
            info = tarfile.TarInfo(f"set/{name.rpartition('/')[2]}")
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def of(images: dict[str, bytes], source: str) -> dict[str, bytes]:
    return {name: data for name, data in images.items() if name.startswith(f"{source}/")}


@pytest.fixture
def start(prefect_server: Path, tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """A function that starts `rsvlm data fetch` on the tests' Prefect server."""
    from prefect.settings import PREFECT_API_URL

    def run(*arguments: str, **env: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "flows.cli", "data", "fetch", "--root", str(tmp_path / "data"), *arguments]
        environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value()), **env}
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)

    return run


def finish(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=FETCH_ENDS_S)
    assert process.returncode == 0, output
    return output


def laid_out(root: Path) -> dict[str, bytes]:
    folder = root / "imagenes"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_sources_are_fetched_from_a_faulty_server(server, start, images, tmp_path):
    nwpu, rsicd, lr = zipped(of(images, "NWPU")), tarred(of(images, "RSICD")), zipped(of(images, "LR"))
    dota = [*of(images, "DOTA").items()]
    parts = [zipped(dict(dota[number::3])) for number in range(3)]
    old = zipped({name: image("old") for name in of(images, "LR")})
    half = len(lr) // 2
    busy = ("status", 429, {"Retry-After": "1"})
    server.add("/raw.json", records_of(images), acts=[busy, ("drop", 5000)])
    server.add("/NWPU.zip", nwpu, acts=[("drop", half), ("status", 503, {}), ("stall", half // 2, 5)])
    server.add("/RSICD.tar.gz", rsicd, acts=[("drop", 0), ("status", 503, {}), ("length", 3 * len(rsicd))])
    server.add("/LR.zip", old, acts=[("drop", half), ("body", lr)])
    for number, part in enumerate(parts):
        acts = [[("length", len(part) // 2)], [busy, ("drop", 1000)], [("drop", 0), busy]][number]
        server.add(f"/{number}/images.zip", part, acts=acts)
    names = [("instructions", "/raw.json"), ("NWPU", "/NWPU.zip"), ("RSICD", "/RSICD.tar.gz"), ("LR", "/LR.zip")]
    names += [("DOTA", f"/{number}/images.zip") for number in range(3)]
    mirrors = [word for name, path in names for word in ("--mirror", f"{name}={server.url(path)}")]

    before = datetime.now(UTC)
    output = finish(start(*mirrors))
    for name in FOLDERS:
        assert f"{name}: {IMAGES} images, 0 images of records are missing" in output
    assert laid_out(tmp_path / "data") == images
    assert progress_shown_since(before) == {f"fetch-{name}": 100 for name in PROGRESS}
    assert not any(served.acts for served in server.files.values())
    assert sorted(path.name for path in (tmp_path / "data" / "downloads").iterdir()) == sorted(
        f"{name}.json" for name in ("instructions", *FOLDERS)
    )


def progress_shown_since(start: datetime) -> dict[str, float]:
    """The progress artifacts since `start` by key; other tests use the same server."""
    from prefect.settings import PREFECT_API_URL

    found = httpx.post(f"{PREFECT_API_URL.value()}/artifacts/latest/filter", json={}).json()
    shown = [one for one in found if one["type"] == "progress" and datetime.fromisoformat(one["updated"]) >= start]
    return {one["key"]: one["data"] for one in shown}


def test_killed_fetch_resumes(server, start, images, tmp_path):
    (tmp_path / "raw.json").write_bytes(records_of(of(images, "NWPU") | of(images, "LR")))
    whole = {name: zipped(of(images, name)) for name in ("NWPU", "LR")}
    before_kill = {name: 7 * len(content) // 10 for name, content in whole.items()}
    served = {
        name: server.add(f"/{name}.zip", content, acts=[("stall", before_kill[name])])
        for name, content in whole.items()
    }
    mirrors = [word for name in whole for word in ("--mirror", f"{name}={server.url(f'/{name}.zip')}")]
    arguments = ["--sources", "NWPU,LR", "--archive", f"instructions={tmp_path / 'raw.json'}", *mirrors]

    process = start(*arguments)
    parts = {name: tmp_path / "data" / "downloads" / name for name in whole}
    while not all(size_of_part(parts[name]) >= before_kill[name] for name in whole):
        assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
    assert not (tmp_path / "data" / "imagenes").exists()
    assert not any(path.suffix == ".zip" for folder in parts.values() for path in folder.rglob("*"))

    finish(start(*arguments))
    assert laid_out(tmp_path / "data") == of(images, "NWPU") | of(images, "LR")
    for name, content in whole.items():
        assert served[name].sent_bytes - len(content) < 0.05 * len(content)
        assert len(served[name].requests) > 1


def size_of_part(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*.part"):
        # the temporary file is renamed when it is complete
        with suppress(FileNotFoundError):
            size += path.stat().st_size
    return size


def waiting_run(process: "subprocess.Popen[str]", leaves: bool) -> Any:
    """Wait for the flow run that waits for a person; its process stays, or ends for a suspended run."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter

    wanted = FlowRunFilter.model_validate({"state": {"type": {"any_": ["PAUSED"]}}})
    if leaves:
        finish(process)
    while True:
        with get_client(sync_client=True) as client:
            if found := client.read_flow_runs(flow_run_filter=wanted):
                return found[0]
        assert not leaves and process.poll() is None, process.communicate()


def asked_for(run: Any) -> dict[str, Any]:
    """The fields of a waiting run's form."""
    from prefect.settings import PREFECT_API_URL

    key = run.state.state_details.run_input_keyset["schema"]
    shown = httpx.get(f"{PREFECT_API_URL.value()}/flow_runs/{run.id}/input/{key}").json()
    fields = json.loads(shown)["properties"] if isinstance(shown, str) else shown["properties"]
    return dict(fields)


def give(run: Any, **paths: str) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        client.resume_flow_run(run.id, run_input=paths)


@pytest.fixture
def ucm(tmp_path: Path) -> SimpleNamespace:
    """A data folder with records of a source that must be downloaded by hand, and its archive."""
    name = "UCM/images/1.jpg"
    (tmp_path / "raw.json").write_bytes(records_of({name: b""}))
    (tmp_path / "UCM.zip").write_bytes(zipped({name: b"image"}))
    return SimpleNamespace(records=str(tmp_path / "raw.json"), archive=str(tmp_path / "UCM.zip"), name=name)


def test_run_waits_for_a_path_and_continues(start, ucm, tmp_path):
    process = start("--sources", "UCM", "--archive", f"instructions={ucm.records}")
    run = waiting_run(process, leaves=False)
    assert asked_for(run)["UCM"]["description"].startswith("UCM: download https://")
    give(run, UCM=ucm.archive)
    assert "UCM: 1 images, 0 images of records are missing" in finish(process)
    assert laid_out(tmp_path / "data") == {ucm.name: b"image"}


def test_waiting_deployment_run_releases_its_machine(prefect_server, ucm, tmp_path):
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    parameters = {
        "root": str(tmp_path / "data"),
        "config": {"sources": ["UCM"], "archives": {"instructions": ucm.records}},
    }
    with get_client(sync_client=True) as client:
        flow = client.create_flow_from_name("fetch-data")
        entrypoint = "flows.fetch_data.fetch_data_flow"
        deployment = client.create_deployment(flow, "by-hand", entrypoint=entrypoint, path=str(REPO))
        run = client.create_flow_run_from_deployment(deployment, parameters=parameters)

    def execute() -> "subprocess.Popen[str]":
        # as a worker starts it
        command = [sys.executable, "-m", "prefect.engine", str(run.id)]
        environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=REPO
        )

    assert waiting_run(execute(), leaves=True).id == run.id
    give(run, UCM=ucm.archive)
    finish(execute())
    assert laid_out(tmp_path / "data") == {ucm.name: b"image"}
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(run.id).state.is_completed()
