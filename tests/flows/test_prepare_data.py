"""The data of a run with sources of the user's own: one is fetched, the images of the other stay elsewhere."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tasks.files import read_json
from tasks.settings import ExperimentConfig

pytestmark = pytest.mark.slow


def draw(folder: Path, start: int) -> None:
    folder.mkdir(parents=True)
    for number in range(10):
        Image.new("RGB", (20, 20), (number * 12, start, 0)).save(folder / f"{number}.png")


def test_images_are_fetched_or_linked_and_their_folder_may_move(
    prefect_server: Path, small_experiment: Callable[..., ExperimentConfig], tmp_path: Path
) -> None:
    from flows.prepare_data import prepare_data_flow

    draw(tmp_path / "given", 0)
    draw(tmp_path / "disk", 100)
    turns = [{"from": "human", "value": "<image>\nIs it wet?"}, {"from": "gpt", "value": "yes"}]
    rows = [
        {"id": f"{source}{number}", "image": f"{folder}{number}.png", "conversations": turns}
        for source, folder in (("FLOOD", "FLOOD/"), ("FIRE", f"{tmp_path}/disk/"))
        for number in range(10)
    ]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(rows))
    sources = [{"name": "FLOOD", "images": str(tmp_path / "given"), "task": "vqa"}, {"name": "FIRE", "task": "vqa"}]
    data = {"root": tmp_path / "data", "sources": ["FLOOD", "FIRE"], "custom_sources": sources, "fetch": True}
    data |= {"near_duplicates": "ignore", "image_root": {"FIRE": tmp_path / "disk"}}
    dataset = prepare_data_flow(small_experiment(data=data), "own", tmp_path / "workspace")
    assert dataset.records == {"train": 10, "val": 0, "test": 10, "filtered_test": 10}
    images = {row["image"] for row in read_json(dataset.path / "data_train.json")}
    assert images < {f"{name}/{number}.png" for name in ("FLOOD", "FIRE") for number in range(10)}
    assert all((dataset.images / image).is_file() for image in images)
    assert [path.name for path in (tmp_path / "data" / "imagenes").iterdir()] == ["FLOOD"]

    (tmp_path / "disk").rename(tmp_path / "moved")
    for row in rows[10:]:
        row["image"] = row["image"].replace("/disk/", "/moved/")
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(rows))
    moved = small_experiment(data={**data, "image_root": {"FIRE": tmp_path / "moved"}})
    again = prepare_data_flow(moved, "own", tmp_path / "workspace")
    assert again.records == dataset.records and all((again.images / image).is_file() for image in images)
