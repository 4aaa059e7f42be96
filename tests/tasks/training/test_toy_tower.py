"""The toy's vision tower learns what its patches show; nothing else of the model changes."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from tasks.files import write_json
from tasks.model.llava.base_loading import load_base
from tasks.model.llava.tiny import create_tiny
from tasks.records import DatasetRef
from tasks.training import toy_tower
from tasks.training.toy_tower import pretrain_tower

COLOURS = {"red": (200, 50, 42), "green": (132, 168, 96), "blue": (56, 108, 172)}


@pytest.fixture
def lessons(tmp_path: Path) -> DatasetRef:
    """Twelve images of 32 pixels, each side of one colour."""
    records = []
    names = list(COLOURS)
    for number in range(12):
        left, right = names[number % 3], names[(number // 3) % 3]
        image = Image.new("RGB", (32, 32), COLOURS[left])
        image.paste(COLOURS[right], (16, 0, 32, 32))
        image.save(tmp_path / f"{number}.png")
        counts = {name: [left, right].count(name) for name in names}
        records.append({"image": f"{number}.png", "squares": [left, left, right, right] * 4, "counts": counts})
    write_json(tmp_path / "data_train.json", records)
    return DatasetRef(path=tmp_path, sha256="0", images=tmp_path, images_sha256="0", records={})


def test_the_tower_learns_and_the_rest_stays(
    tmp_path: Path, lessons: DatasetRef, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(toy_tower, "EPOCHS", 100)
    monkeypatch.setattr(toy_tower, "LOGGING_STEPS", 1)
    create_tiny(tmp_path / "toy", ["a red field"], seed=1, image_size=32)
    before = load_base(tmp_path / "toy", torch.float32).state_dict()
    pretrain_tower(tmp_path / "toy", lessons, seed=7)
    after = load_base(tmp_path / "toy", torch.float32).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all("vision_tower" in name for name in changed)
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", capsys.readouterr().out)]
    assert losses[-1] < 0.1 < losses[0]


def test_same_seed_gives_the_same_tower(tmp_path: Path, lessons: DatasetRef) -> None:
    states = []
    for name in ("one", "two"):
        create_tiny(tmp_path / name, ["a red field"], seed=1, image_size=32)
        pretrain_tower(tmp_path / name, lessons, seed=7)
        states.append(load_base(tmp_path / name, torch.float32).state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
