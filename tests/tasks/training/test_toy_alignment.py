"""The toy's patches learn to point at the words for what they show; its language model stays."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from tasks.data.synthetic.captions import number_word
from tasks.data.synthetic.lessons import SQUARES
from tasks.files import write_json
from tasks.model.llava.base_loading import load_base
from tasks.model.llava.tiny import create_tiny
from tasks.records import DatasetRef
from tasks.training import toy_alignment
from tasks.training.toy_alignment import NUMBER_WORDS, align_vision

COLOURS = {"red": (200, 50, 42), "green": (132, 168, 96), "blue": (56, 108, 172)}
ALIGNED = ("vision_tower", "multi_modal_projector", "embed_tokens")


@pytest.fixture
def lessons(tmp_path: Path) -> DatasetRef:
    """Twelve images of 64 pixels, each half a field of one colour."""
    records = []
    names = list(COLOURS)
    half = SQUARES // 2
    for number in range(12):
        left, right = names[number % 3], names[(number // 3) % 3]
        image = Image.new("RGB", (64, 64), COLOURS[left])
        image.paste(COLOURS[right], (32, 0, 64, 64))
        image.save(tmp_path / f"{number}.png")
        fields = [f"{colour} field {'two' if left == right else 'one'}" for colour in (left, right)]
        squares = ([fields[0]] * half + [fields[1]] * half) * SQUARES
        records.append({"image": f"{number}.png", "squares": squares})
    write_json(tmp_path / "data_train.json", records)
    return DatasetRef(path=tmp_path, sha256="0", images=tmp_path, images_sha256="0", records={})


def test_patches_learn_their_words_and_the_language_model_stays(
    tmp_path: Path, lessons: DatasetRef, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(toy_alignment, "EPOCHS", 400)
    monkeypatch.setattr(toy_alignment, "LOGGING_STEPS", 1)
    create_tiny(tmp_path / "toy", ["a red green blue field two one"], seed=1)
    before = load_base(tmp_path / "toy", torch.float32).state_dict()
    align_vision(tmp_path / "toy", lessons, seed=7)
    after = load_base(tmp_path / "toy", torch.float32).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(any(part in name for part in ALIGNED) for name in changed)
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", capsys.readouterr().out)]
    assert losses[-1] < losses[0] / 5


def test_number_words_are_those_of_the_lessons() -> None:
    assert set(NUMBER_WORDS) == {number_word(number) for number in range(100)}


def test_same_seed_gives_the_same_weights(tmp_path: Path, lessons: DatasetRef) -> None:
    states = []
    for name in ("one", "two"):
        create_tiny(tmp_path / name, ["a red green blue field two one"], seed=1)
        align_vision(tmp_path / name, lessons, seed=7)
        states.append(load_base(tmp_path / name, torch.float32).state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
