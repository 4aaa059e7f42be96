"""A damaged manifest affects its own checkpoint only, in a folder and in a bucket."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from flows.cli import main
from tasks.records import Manifest
from tasks.settings import ArchiveConfig, KeepRule
from tasks.storage.checkpoints.archiver import Archive, archive_staged
from tasks.storage.checkpoints.listing import list_checkpoints, verify_checkpoints
from tasks.storage.folder_upload import archive_folder
from tasks.storage.local_store import LocalStore
from tasks.storage.object_store import ObjectStore, open_store

GOOD = "0" * 64
BUCKET = "damaged"


def listing(**changed: Any) -> str:
    """A manifest that names a file with something wrong in it."""
    entry = {"size": 7, "sha256": GOOD} | changed
    return json.dumps({"fingerprint": "x", "files": {"adapter_model.safetensors": entry}})


def naming(name: str) -> str:
    return json.dumps({"fingerprint": "x", "files": {name: {"size": 7, "sha256": GOOD}}})


DAMAGED = {
    "nothing": "",
    "cut off": '{"fingerprint": "x", "fil',
    "no JSON": "foreign",
    "no text": b"\xff\xfe\x00\x80",
    "zeros": "\0" * 100,
    "null": "null",
    "a list": "[]",
    "a number": "1",
    "no files": '{"fingerprint": "x"}',
    "files as a list": '{"fingerprint": "x", "files": ["a"]}',
    "files as null": '{"fingerprint": "x", "files": null}',
    "a file as a number": '{"fingerprint": "x", "files": {"a": 1}}',
    "a file as nothing": '{"fingerprint": "x", "files": {"a": {}}}',
    "a number as fingerprint": '{"fingerprint": 1, "files": {}}',
    "a key more": '{"fingerprint": "x", "files": {}, "made by": "somebody"}',
    "details as a list": '{"fingerprint": "x", "files": {}, "details": []}',
    "a version of words": '{"fingerprint": "x", "files": {}, "version": "first"}',
    "endless lists": "[" * 100_000,
    "endless objects": '{"files":' * 50_000,
    "5,000 digits": '{"fingerprint": "x", "files": {"a": {"size": ' + "9" * 5000 + "}}}",
    "NaN": '{"fingerprint": "x", "files": {"a": {"size": NaN}}}',
    "Infinity": '{"fingerprint": "x", "files": {"a": {"size": 1e999}}}',
    "a size of words": listing(size="7"),
    "a broken size": listing(size=7.5),
    "a size below zero": listing(size=-7),
    "a size of truth": listing(size=True),
    "no size": listing(size=None),
    "another size": listing(size=8),
    "a huge size": listing(size=10**200),
    "a hash of numbers": listing(sha256=0),
    "no hash": listing(sha256=None),
    "a short hash": listing(sha256="0"),
    "a hash that is a path": listing(sha256="../" * 21 + "a"),
    "a file above": naming("../adapter_model.safetensors"),
    "an absolute file": naming("/etc/passwd"),
    "an empty name": naming(""),
    "the folder itself": naming("."),
    "NUL in a name": naming("a\0b"),
    "an endless name": naming("a" * 5000),
    "half a character": '{"fingerprint": "x", "files": {"\\ud800": {"size": 7, "sha256": "' + GOOD + '"}}}',
    "a file that is not there": naming("other.bin"),
}


class Place:
    """A store with three checkpoints, where it is and how its bytes are changed."""

    def __init__(self, arguments: list[str], store: ObjectStore, client: Any = None) -> None:
        self.arguments, self.store, self._client = arguments, store, client

    def spoil(self, step: int, content: str | bytes) -> None:
        content = content if isinstance(content, bytes) else content.encode()
        key = f"demo/checkpoints/checkpoint-{step}/MANIFEST.json"
        if self._client is not None:
            self._client.put_object(Bucket=BUCKET, Key=f"{self.store.uri.rpartition('/')[2]}/{key}", Body=content)
        else:
            assert isinstance(self.store, LocalStore)
            (self.store.root / key).write_bytes(content)


def checkpoint(folder: Path, step: int) -> Path:
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    (made / "adapter_model.safetensors").write_text(f"{step:7}")
    (made / "COMPLETE.json").write_text(json.dumps({"step": step, "files": {"adapter_model.safetensors": 7}}))
    return made


# a request to the server takes its time, and what a text says is looked at by the same code
IN_BUCKET = ("nothing", "no text", "endless lists", "5,000 digits", "another size", "a hash of numbers", "a file above")
DAMAGES = pytest.mark.parametrize(
    ("place", "content"),
    [
        pytest.param(kind, content, id=f"{kind}-{name}")
        for kind in ("folder", "bucket")
        for name, content in DAMAGED.items()
        if kind == "folder" or name in IN_BUCKET
    ],
    indirect=["place"],
)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, keys: None) -> Iterator[Place]:
    client, store = None, None
    arguments = [(tmp_path / "store").as_uri()]
    if request.param == "bucket":
        import boto3

        address = request.getfixturevalue("s3_address")
        client = boto3.client("s3", endpoint_url=address)
        client.create_bucket(Bucket=BUCKET)
        arguments = [f"s3://{BUCKET}/{tmp_path.name}", "--endpoint-url", address]
        store = open_store(arguments[0], address)
    found = Place(arguments, store or LocalStore(tmp_path / "store"), client)
    for step in (5, 10, 200):
        archive_folder(checkpoint(tmp_path / "first", step), found.store, f"demo/checkpoints/checkpoint-{step}")
    yield found
    if client is not None:
        for entry in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
            client.delete_object(Bucket=BUCKET, Key=entry["Key"])
        client.delete_bucket(Bucket=BUCKET)


@DAMAGES
def test_listing_reports_a_damaged_manifest_and_continues(
    place: Place, content: str | bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.spoil(10, content)
    for command in ("list", "verify"):
        assert main(["checkpoints", command, *place.arguments]) == 1
        said = capsys.readouterr()
        lines = [json.loads(line) for line in said.out.splitlines()]
        assert [(line["step"], line["whole"]) for line in lines] == [(5, True), (10, False), (200, True)]
        assert len(said.err.splitlines()) == 1 and "checkpoint-10" in said.err and "Traceback" not in said.err
    assert main(["checkpoints", "pull", *place.arguments[:1], str(tmp_path / "out"), *place.arguments[1:]]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["checkpoint-200"]


@DAMAGES
def test_archiving_continues_despite_a_damaged_manifest(place: Place, content: str | bytes, tmp_path: Path) -> None:
    place.spoil(10, content)
    rules = ArchiveConfig(optimizer_states=False, keep=KeepRule(last=2))
    training = tmp_path / "training"
    for step in (10, 300):
        checkpoint(training, step)
    archive = Archive(training / "staging", place.store, "demo", rules)
    assert set(archive_staged(archive)) == {10, 300}
    archive.thin_disk()
    assert list((training / "staging").iterdir()) == []
    steps = [(line.step, line.whole) for line in verify_checkpoints(place.store)]
    # the folder of the damaged one stays as it is; the same checkpoint gets another one
    assert (300, True) in steps and (10, False) in steps


@pytest.mark.parametrize("marker", ["", "[]", "{}", '{"files": []}', '{"files": {"../up": 1}}', "[" * 9999, "9" * 5000])
def test_a_damaged_marker_stops_only_its_own_checkpoint(tmp_path: Path, marker: str) -> None:
    staging = tmp_path / "training" / "staging"
    for step in (5, 10):
        checkpoint(staging, step)
    (staging / "checkpoint-5" / "COMPLETE.json").write_text(marker)
    archive = Archive(staging, LocalStore(tmp_path / "store"), "demo", ArchiveConfig(optimizer_states=False))
    archive.recover()
    assert 10 in archive.upload_staged().archived


mutations = strategies.lists(strategies.tuples(strategies.floats(0, 1), strategies.binary(max_size=4)), min_size=1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(mutations, strategies.booleans())
def test_list_and_verify_agree_about_any_damage_to_a_manifest(
    tmp_path: Path, changes: list[tuple[float, bytes]], inserts: bool
) -> None:
    store = LocalStore(tmp_path / "store")
    folder = "demo/checkpoints/checkpoint-5"
    if not (tmp_path / "first").exists():
        archive_folder(checkpoint(tmp_path / "first", 5), store, folder)
        (tmp_path / "sound.json").write_bytes((store.root / folder / "MANIFEST.json").read_bytes())
    content = bytearray((tmp_path / "sound.json").read_bytes())
    for where, new in changes:
        place = int(where * len(content))
        content[place : place + (0 if inserts else len(new))] = new
    (store.root / folder / "MANIFEST.json").write_bytes(content)
    listed, verified = list(list_checkpoints(store)), list(verify_checkpoints(store))
    assert [line.step for line in listed] == [line.step for line in verified] == [5]
    # what listing finds damaged, verifying does; a wrong hash takes reading the bytes
    assert listed[0].whole or not verified[0].whole
    assert listed[0].model_copy(update={"whole": None}) == verified[0].model_copy(update={"whole": None})


def test_archive_folder_writes_a_valid_manifest(tmp_path: Path) -> None:
    archive_folder(checkpoint(tmp_path, 5), LocalStore(tmp_path / "store"), "demo")
    Manifest.model_validate_json((tmp_path / "store/demo/MANIFEST.json").read_text())
