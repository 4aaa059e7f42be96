"""`rsvlm inspect` shows exactly the samples of training."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tasks.errors import DataError
from tasks.model.loading import Processor
from tasks.training.collator import SampleDataset
from tasks.training.inspect_samples import Inspector
from tasks.training.samples import LengthLimit, make_samples

KEYS = {"id", "prompt", "input_ids", "labels", "supervised_tokens", "dropped"}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    Image.linear_gradient("L").resize((40, 20)).convert("RGB").save(tmp_path / "images" / "a.png")
    return tmp_path / "images"


def record(*texts: str, record_id: str = "LR_1", image: str | None = "a.png") -> dict[str, Any]:
    turns = [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]
    return {"id": record_id, "image": image, "conversations": turns}


def show(processor: Any, images: Path, shown: dict[str, Any], longest: int = 2048) -> dict[str, Any]:
    return Inspector(processor, images, LengthLimit(longest, split=True)).show(shown)


def test_ids_and_labels_equal_those_of_the_training_sample(processor: Processor, images: Path) -> None:
    some = record("<image>\nRural?", "yes", "Ships?", "two")
    line, (sample,) = (
        show(processor, images, some),
        make_samples([some], processor, images, LengthLimit(2048, split=True))[0],
    )
    assert line.keys() == KEYS
    assert (line["input_ids"], line["labels"]) == (sample.encoded.input_ids, sample.encoded.labels)
    assert line["input_ids"].count(-200) == 1
    assert line["supervised_tokens"] == sum(label != -100 for label in line["labels"])
    assert line["prompt"].endswith("USER: <image>\nRural? ASSISTANT: yes</s>USER: Ships? ASSISTANT: two</s>")
    assert line["prompt"].startswith("A chat between")
    assert line["dropped"] is None


def test_dropped_record_has_a_reason(processor: Processor, images: Path) -> None:
    line = show(processor, images, record("<image>\nRural?", ""))
    assert line["dropped"] == "no answer to learn from; question with an empty answer"
    assert (line["input_ids"], line["labels"], line["prompt"], line["supervised_tokens"]) == ([], [], "", 0)


def test_dropped_parts_of_a_record_are_counted(processor: Processor, images: Path) -> None:
    line = show(processor, images, record("<image>\nRural?", "yes", "Ships?", ""))
    assert line["dropped"] is None
    assert line["left_out"] == {"question with an empty answer": 1}


def test_samples_of_a_long_record_are_concatenated(processor: Processor, images: Path) -> None:
    some = record(*["How many ships are there in this picture?", "there are two ships"] * 30)
    line, samples = (
        show(processor, images, some, 400),
        make_samples([some], processor, images, LengthLimit(400, split=True))[0],
    )
    assert len(samples) > 1
    assert line["parts"] == [len(sample.encoded.input_ids) for sample in samples]
    assert line["input_ids"] == [token for sample in samples for token in sample.encoded.input_ids]
    assert line["labels"] == [label for sample in samples for label in sample.encoded.labels]
    assert line["prompt"].count("A chat between") == line["input_ids"].count(-200) == len(samples)


def test_missing_image_is_a_reason_to_drop(processor: Processor, images: Path) -> None:
    line = show(processor, images, record("<image>\nRural?", "yes", image="none.png"))
    assert "none.png does not exist" in line["dropped"]


def test_pixels_equal_those_of_the_training_item(processor: Processor, images: Path, tmp_path: Path) -> None:
    some = record("<image>\nRural?", "yes")
    Inspector(processor, images, LengthLimit(2048, split=True), tmp_path / "pixels").show(some)
    written = np.load(tmp_path / "pixels" / "LR_1.npy")
    samples, _ = make_samples([some], processor, images, LengthLimit(2048, split=True))
    (fed,) = SampleDataset(samples, images, processor)[0].images
    assert (written.dtype, written.shape) == (np.float32, (3, 64, 64))
    assert torch.equal(torch.from_numpy(written), fed.tensors["pixel_values"][0])


@pytest.mark.parametrize(
    ("record_id", "name"),
    [("a b", "a b.npy"), ("../../up", "..%2F..%2Fup.npy"), ("/etc/x", "%2Fetc%2Fx.npy"), ("50%", "50%25.npy")],
)
def test_no_id_escapes_the_pixels_folder(
    processor: Processor, images: Path, tmp_path: Path, record_id: str, name: str
) -> None:
    folder = tmp_path / "below" / "pixels"
    inspector = Inspector(processor, images, LengthLimit(2048, split=True), folder)
    inspector.show(record("<image>\nRural?", "yes", record_id=record_id))
    assert [path.name for path in (tmp_path / "below").rglob("*.npy")] == [name]
    assert (folder / name).is_file()


def test_pixels_of_another_image_are_not_overwritten(processor: Processor, images: Path, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(images / "b.png")
    inspector = Inspector(processor, images, LengthLimit(2048, split=True), tmp_path / "pixels")
    for _ in range(2):
        inspector.show(record("<image>\nRural?", "yes"))
    with pytest.raises(DataError, match=r"LR_1\.npy holds other pixels"):
        inspector.show(record("<image>\nRural?", "yes", image="b.png"))


@pytest.mark.parametrize("pixels", [None, "pixels"])
def test_unreadable_image_is_a_reason_to_drop(
    processor: Processor, images: Path, tmp_path: Path, pixels: str | None
) -> None:
    (images / "bad.png").write_bytes(b"no image")
    inspector = Inspector(processor, images, LengthLimit(2048, split=True), tmp_path / pixels if pixels else None)
    line = inspector.show(record("<image>\nRural?", "yes", image="bad.png"))
    assert "bad.png is not a readable image" in line["dropped"]
    assert not list((tmp_path / "pixels").glob("*"))


def test_record_that_a_training_refuses_is_shown_with_the_reason(processor: Processor, images: Path) -> None:
    Image.new("RGB", (300, 1)).save(images / "narrow.png")
    # the number of an image's tokens depends on its size, which needs the file
    sized = SimpleNamespace(image_tokens=None, count_tokens=refuse_size)
    line = show(sized, images, record("<image>\nRural?", "yes", image="narrow.png"))
    assert line["dropped"] == "Record 'LR_1': (300, 1) is too narrow: crop it"
    assert (line["input_ids"], line["supervised_tokens"]) == ([], 0)


def refuse_size(size: tuple[int, int]) -> int:
    raise DataError(f"{size} is too narrow: crop it")
