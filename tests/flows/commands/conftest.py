"""Files as people bring them, made small."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main

Records = list[dict[str, Any]]
COLOURS = ("white", "red", "blue", "green", "grey")


def _record(name: object, image: Any, *pairs: tuple[str, str]) -> dict[str, Any]:
    turns = [turn for ask, say in pairs for turn in ({"from": "human", "value": ask}, {"from": "gpt", "value": say})]
    return {"id": str(name), "image": image, "conversations": turns}


@pytest.fixture
def record() -> Callable[..., dict[str, Any]]:
    """A function (id, image, (question, answer), ...) -> a record in the LLaVA layout."""
    return _record


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A function (name, records) -> their file, of JSON Lines where the name says so."""

    def write_file(name: str, rows: Records) -> Path:
        path = tmp_path / name
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(lines if path.suffix == ".jsonl" else json.dumps(rows, indent=1))
        return path

    return write_file


@pytest.fixture
def flat_names() -> Callable[..., Records]:
    """A function (folder, images) -> records as GeoChat has them: a question, a caption and a place of each image."""
    return _flat_names


def _flat_names(folder: str = "", images: int = 30) -> Records:
    rows = []
    for number in range(images):
        image = f"{folder}P{number:04}_0002.png"
        caption = f"{number} {COLOURS[number % 5]} ships lie near the pier of a harbor"
        rows += [
            _record(number, image, ("[vqa] <image>\nIs there a harbor?", "Yes" if number % 2 else "No")),
            _record(f"{number}c", image, ("[caption] <image>\nDescribe the image in detail", caption)),
            _record(f"{number}r", image, ("[refer] <image>\nGive me the location of <p>the ship</p>", "{<1><2>}")),
        ]
    return rows


@pytest.fixture
def mixed() -> Callable[..., Records]:
    """A function (answers, images) -> records as VRSBench has them: a caption, then two questions about the image."""
    return _mixed


def _mixed(answers: tuple[str, str] = ("", ""), images: int = 8) -> Records:
    return [
        _record(
            number,
            f"VRS/images/{number}.png",
            ("<image>\nDescribe the image in detail", f"a harbor with {number + 2} {COLOURS[number % 5]} ships"),
            ("How many ships are there?", answers[0] or str(number + 2)),
            ("Is there a pier?", answers[1] or "yes"),
        )
        for number in range(images)
    ]


@pytest.fixture
def metrics_of() -> Callable[..., dict[str, Any]]:
    """A function (test set, answers, options...) -> scores of `rsvlm evaluate`, in report-NAME beside the test set."""
    return _metrics_of


def _metrics_of(data: Path, predictions: Path, *options: object) -> dict[str, Any]:
    out = data.parent / f"report-{data.stem}"
    given = ("--data", data, "--predictions", predictions, "--out", out, *options)
    assert main(["evaluate", *map(str, given)]) == 0
    found: dict[str, Any] = json.loads((out / "metrics.json").read_bytes())
    return found
