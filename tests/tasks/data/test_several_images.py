"""Records with several images are trained up to data.max_images, and none of their images is asked about."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tasks.data.preparing import prepare_dataset
from tasks.data.record_checks import NO_ANSWER
from tasks.data.several_images import HELD_OUT, TOO_MANY, choose_several, trainable
from tasks.files import read_json
from tasks.image_paths import image_key
from tasks.record_reader import images_of
from tasks.records import DatasetRef
from tasks.settings import DataConfig

TWO = DataConfig(sources=("LR",), max_images=2)


def record(number: int, image: Any, answer: str = "yes") -> Any:
    turns = [{"from": "human", "value": "<image> and <image>, equal?"}, {"from": "gpt", "value": answer}]
    return {"id": f"LR_{number}", "image": image, "conversations": turns}


def pair(number: int, *others: str) -> Any:
    return record(number, [f"LR/{number}.png", *others])


def test_records_with_one_image_and_none_are_left_to_others() -> None:
    records = [record(1, "LR/1.png"), record(2, None), pair(3, "LR/4.png")]
    kept, others = choose_several(records, TWO)
    assert (kept.records, others, kept.dropped) == ([records[2]], records[:2], {})


def test_images_under_another_name_are_kept_as_image() -> None:
    other = record(1, None)
    other["images"] = ["LR/1.png", "LR/2.png"]
    kept, _ = choose_several([other], TWO)
    assert kept.records[0]["image"] == ["LR/1.png", "LR/2.png"]
    assert "images" not in kept.records[0]


@pytest.mark.parametrize(
    ("dropped", "reason"),
    [
        (pair(1, "LR/2.png", "LR/3.png"), TOO_MANY),
        (pair(1, "../up.png"), "image path leaves the images folder"),
        (record(1, ["A/1.png", "LR/2.png"]), "source A not selected"),
        (record(1, ["LR/1.png", "LR/2.png"], answer=" "), NO_ANSWER),
    ],
)
def test_unusable_record_is_dropped_and_counted(dropped: Any, reason: str) -> None:
    kept, _ = choose_several([dropped], TWO)
    assert (kept.records, kept.dropped) == ([], {reason: 1})


def test_records_with_an_image_that_is_asked_about_or_its_double_are_dropped() -> None:
    several = [pair(1, "LR/2.png"), pair(3, "LR/4.png"), pair(5, "LR/6.png"), pair(7, "LR/8.png")]
    kept = trainable(
        several, [record(2, "LR/2.png"), record(9, "LR/9.png")], {"LR/9.png": "LR/4.png"}, {"LR/6.png": "broken"}
    )
    assert kept.records == [several[3]]
    assert kept.dropped == {HELD_OUT: 2, "broken": 1}


def prepared(folder: Path, **settings: Any) -> DatasetRef:
    records = [record(number, f"LR/{number}.png") for number in range(20)]
    records += [pair(number, f"LR/{number + 1}.png") for number in range(30, 40, 2)]
    records += [pair(number, f"LR/{number + 1}.png") for number in range(19)]
    (folder / "imagenes" / "LR").mkdir(parents=True)
    for number in range(41):
        Image.effect_noise((40, 40), 20 + number * 5).save(folder / "imagenes" / "LR" / f"{number}.png")
    (folder / "dataset.json").write_text(json.dumps(records))
    config = DataConfig(sources=("LR",), near_duplicates="ignore", **settings)
    return prepare_dataset(folder / "dataset.json", folder / "imagenes", config, folder / "sets")


def test_sets_hold_several_images_in_training_alone(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, max_images=2)
    sets = {name: read_json(dataset.path / f"data_{name}.json") for name in ("train", "val", "test")}
    several = [one for one in sets["train"] if len(images_of(one)) == 2]
    assert len(several) >= 5
    asked = {image_key(one["image"]) for name in ("val", "test") for one in sets[name]}
    assert all(len(images_of(one)) == 1 for name in ("val", "test") for one in sets[name])
    assert not {image_key(image) for one in several for image in images_of(one)} & asked
    dropped = read_json(dataset.path / "data_train.manifest.json")["dropped"]
    assert dropped[HELD_OUT] == 24 - len(several)
    # their placeholders stay where they are
    assert {one["conversations"][0]["value"] for one in several} == {"<image> and <image>, equal?"}


def test_by_default_they_are_dropped_with_what_to_set(tmp_path: Path) -> None:
    dataset = prepared(tmp_path)
    assert dataset.records["train"] + dataset.records["val"] + dataset.records["test"] == 20
    assert read_json(dataset.path / "data_train.manifest.json")["dropped"] == {TOO_MANY: 24}


def test_fingerprints_have_the_setting_only_where_it_is_set() -> None:
    assert "max_images" not in DataConfig().content
    assert DataConfig(max_images=3).content["max_images"] == 3
