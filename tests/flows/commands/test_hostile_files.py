"""Files from elsewhere, by every command that reads them: it works, or one sentence says which file is wrong."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies
from PIL import Image
from support.files import places

from flows.cli import main

Records = list[dict[str, Any]]
COUNT = 10


def records() -> Records:
    turns = [
        {"from": "human", "value": "<image>\nIs there a road?"},
        {"from": "gpt", "value": "yes"},
        {"from": "human", "value": "How many ships are there?"},
        {"from": "gpt", "value": "3"},
    ]
    return [{"id": f"LR_{n}", "image": f"LR/Train/{n}.png", "conversations": deepcopy(turns)} for n in range(COUNT)]


class World:
    """A folder with a data set, its images and a model directory for an engine that needs no weights."""

    def __init__(self, root: Path, model: Path) -> None:
        self.root, self.model = root, model
        self.echo, self.images, self.good, self.bad = (root / name for name in ("echo", "images", "good.json", "bad"))
        self.echo.mkdir(parents=True)
        (self.echo / "config.json").write_text("{}")
        (self.images / "LR" / "Train").mkdir(parents=True)
        for number in range(COUNT):
            Image.new("RGB", (20, 20), (25 * number, 0, 0)).save(self.images / f"LR/Train/{number}.png")
        self.good.write_text(json.dumps(records()))

    @property
    def out(self) -> Path:
        """A place where nothing is yet."""
        place = self.root / "out"
        assert not place.exists()
        return place

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.root.rglob("*") if path.is_file())
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def world(tmp_path: Path, tiny_model_dir: Path) -> World:
    return World(tmp_path / "world", tiny_model_dir)


def asks(world: World, file: Path) -> list[Any]:
    return ["--data", file, "--images", world.images]


# each command with the file in one of the places where it takes records; the first drops what leads outside
COMMANDS: dict[str, Callable[[World, Path], list[Any]]] = {
    "data filter": lambda world, file: ["data", "filter", file, world.out / "a.json"],
    "data split": lambda world, file: ["data", "split", file, world.out],
    "data reduce": lambda world, file: ["data", "reduce", file, world.out / "a.json", "--ratio", "0.5"],
    "data audit": lambda world, file: ["data", "audit", file, "--images", world.images, "--out", world.out],
    "predict": lambda world, file: [
        *("predict", "--model", world.echo, *asks(world, file), "--out", world.out, "--engine", "echo")
    ],
    "inspect": lambda world, file: ["inspect", "--model", world.model, *asks(world, file), "--pixels", world.out],
    "evaluate --data": lambda world, file: [
        *("evaluate", "--data", file, "--predictions", world.good, "--out", world.out, "--images", world.images)
    ],
    "evaluate --predictions": lambda world, file: [
        *("evaluate", "--data", world.good, "--predictions", file, "--out", world.out)
    ],
    "evaluate --train": lambda world, file: [
        *("evaluate", "--data", world.good, "--predictions", world.good, "--train", file, "--out", world.out)
    ],
}
every_command = pytest.mark.parametrize("command", COMMANDS)


def refused(world: World, command: str, content: bytes, capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence with which a command ends; nothing is written."""
    world.bad.write_bytes(content)
    before = world.files()
    assert main(list(map(str, COMMANDS[command](world, world.bad)))) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ") and len(said.err.splitlines()) == 1, said.err
    assert len(said.err) < 1000 and said.out == ""
    assert world.files() == before
    return said.err


OUTSIDE = {
    "absolute": "/data/LR/Train/1.tif",
    "up": "../secret.png",
    "up from inside": "LR/../../secret.png",
    "backslashes": "..\\secret.png",
    "a server": "\\\\server\\share\\1.png",
    "a drive": "C:\\1.png",
    "the folder": "./.",
    "NUL": "LR/1.png\0",
    "half a character": "LR/\ud800.png",
    "endless": "LR/" + "x" * 9000,
}


@pytest.mark.parametrize("image", OUTSIDE.values(), ids=OUTSIDE)
@pytest.mark.parametrize("command", list(COMMANDS)[1:])
def test_no_command_takes_an_image_from_outside_the_images_folder(
    world: World, command: str, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = records()
    rows[3]["image"] = image
    said = refused(world, command, json.dumps(rows).encode(), capsys)
    assert f"{world.bad}" in said and "record " in said


@pytest.mark.parametrize("image", OUTSIDE.values(), ids=OUTSIDE)
def test_filtering_drops_and_counts_an_image_from_outside(world: World, image: str) -> None:
    rows = records()
    rows[3]["image"] = image
    world.bad.write_text(json.dumps(rows))
    assert main(["data", "filter", str(world.bad), str(world.root / "out.json")]) == 0
    dropped = json.loads((world.root / "out.manifest.json").read_text())["dropped"]
    assert sum(dropped.values()) == 1 and next(iter(dropped)).startswith("image path ")


DAMAGED = {
    "nothing": b"",
    "no text": b"\xff\xfe\x00\x80\x81",
    "cut off": json.dumps(records()).encode()[:-40],
    "an object": b"{}",
    "null": b"null",
    "a text": b'"records"',
    "lists of lists": b"[[]]",
    "numbers": b"[1, 2]",
    "endless lists": b"[" * 100_000,
    "endless objects": b'[{"id":' * 100_000,
    "a number of 5,000 digits": b'[{"id": ' + b"9" * 5000 + b"}]",
    "a fraction beyond all bounds": b'[{"id": 1e999}]',
    "NaN": b'[{"id": NaN}]',
    "minus Infinity": b'[{"id": -Infinity}]',
}


@every_command
@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_reported_in_one_sentence(
    world: World, command: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert str(world.bad) in refused(world, command, content, capsys)


ODD = (None, True, 0, -1, 10**299, 1.5, "", "x", "\0", "\ud800", "../x", "<image>" * 50, [], {}, [[]], [{}], {"a": 1})


def outcome(arguments: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    """A command works, or is refused in one sentence."""
    code = main(list(map(str, arguments)))
    said = capsys.readouterr()
    assert code in (0, 2) and "Traceback" not in said.err, said.err
    assert code == 0 or len([line for line in said.err.splitlines() if line.startswith("error: ")]) == 1, said.err


@every_command
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(strategies.data())
def test_records_of_wrong_types_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model_dir: Path,
    command: str,
    capsys: pytest.CaptureFixture[str],
    data: strategies.DataObject,
) -> None:
    world = World(tmp_path_factory.mktemp("mutated") / "world", tiny_model_dir)
    rows = records()
    for _ in range(data.draw(strategies.integers(1, 3))):
        found = list(places(rows))
        holder, key = found[data.draw(strategies.integers(0, len(found) - 1))]
        holder[key] = deepcopy(data.draw(strategies.sampled_from(ODD)))
    world.bad.write_text(json.dumps(rows))
    outcome(COMMANDS[command](world, world.bad), capsys)
