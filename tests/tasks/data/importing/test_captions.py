"""Karpathy's layout, NWPU-Captions and COCO: one record per caption, with split and id."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.other_formats import SENTENCES, coco, karpathy, nwpu, write

from tasks.errors import DataError


def test_each_sentence_is_a_record_with_its_id_and_split(tmp_path: Path, imported: Callable) -> None:
    records, manifest = imported(karpathy(tmp_path / "a.json"))
    assert [(record["id"], record["image"], record["split"]) for record in records] == [
        (0, "RSICD/airport_0.jpg", "train"),
        (1, "RSICD/airport_0.jpg", "train"),
        (2, "RSICD/airport_1.jpg", "test"),
        (3, "RSICD/airport_1.jpg", "test"),
    ]
    assert records[0]["conversations"] == [
        {"from": "human", "value": "<image>\nDescribe the image."},
        {"from": "gpt", "value": SENTENCES[0]},
    ]
    assert manifest["tasks"] == {"RSICD": {"captioning": 4, "vqa": 0, "guessed": 0}}


def test_nwpu_captions_have_their_class_as_folder(tmp_path: Path, imported: Callable) -> None:
    records, _ = imported(nwpu(tmp_path / "a.json"))
    assert [record["image"] for record in records] == ["NWPU/airport/airport_001.jpg"] * 2
    assert [record["conversations"][1]["value"] for record in records] == list(SENTENCES)
    assert {record["split"] for record in records} == {"val"}


def test_splits_and_captions_that_are_not_understood_are_counted(tmp_path: Path, imported: Callable) -> None:
    sentences = [{"raw": " ", "sentid": 1}, {"tokens": ["a", "plane"], "sentid": 2}, "a car"]
    images = [{"filename": "a.jpg", "split": "extra", "sentences": sentences}, {"split": "test", "sentences": []}]
    records, manifest = imported([write(tmp_path / "a.json", {"images": images})], source="X")
    assert [record["conversations"][1]["value"] for record in records] == ["a plane", "a car"]
    assert manifest["dropped"] == {
        "name of a split other than train, val and test": 1,
        "caption without words": 1,
        "image without a file name": 1,
    }


def test_a_file_that_names_no_data_set_needs_a_source(tmp_path: Path, imported: Callable) -> None:
    path = write(tmp_path / "a.json", {"images": [{"filename": "a.jpg", "sentences": [{"raw": "a"}]}]})
    with pytest.raises(DataError, match="give --source NAME"):
        imported([path])


def test_coco_takes_the_split_from_the_file_name_and_keeps_paths(tmp_path: Path, imported: Callable) -> None:
    records, _ = imported(coco(tmp_path / "captions_val2017.json"))
    assert [(record["id"], record["image"], record["split"]) for record in records] == [
        (70, "a.jpg", "val"),
        (71, "a.jpg", "val"),
    ]
    assert imported(coco(tmp_path / "b.json"), source="UCM")[0][0]["image"] == "UCM/a.jpg"


def test_coco_annotations_may_come_before_the_images(tmp_path: Path, imported: Callable) -> None:
    rows = [{"id": 1, "image_id": 1, "caption": "a"}, {"id": 2, "image_id": 2, "caption": "b"}]
    value = {"annotations": [*rows, {"id": 3, "image_id": 1, "caption": ""}]}
    path = write(tmp_path / "a.json", {**value, "images": [{"id": 1, "file_name": "a.jpg"}]})
    records, manifest = imported([path])
    assert [record["id"] for record in records] == [1]
    assert sorted(manifest["dropped"].values()) == [1, 1]


@pytest.mark.parametrize(("name", "source"), [("UCM_captions", "UCM"), ("HRRSD", "HRRSD"), ("sydney", "Sydney")])
def test_the_source_is_the_data_set_that_a_file_names(
    tmp_path: Path, imported: Callable, name: str, source: str
) -> None:
    images = [{"filename": "a.jpg", "sentences": [{"raw": "a"}]}]
    (record,), _ = imported([write(tmp_path / "a.json", {"images": images, "dataset": name})])
    assert record["image"] == f"{source}/a.jpg"


@pytest.mark.parametrize("name", ["..", "/data/HRRSD", "my data", ""])
def test_the_name_of_a_data_set_that_is_no_folder_needs_a_source(tmp_path: Path, imported: Callable, name: str) -> None:
    images = [{"filename": "a.jpg", "sentences": [{"raw": "a"}]}]
    with pytest.raises(DataError, match="give --source NAME"):
        imported([write(tmp_path / "a.json", {"images": images, "dataset": name})])
