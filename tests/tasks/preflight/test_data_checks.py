"""The data folder, its images and its token counts against the settings."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.model.llava.family import FAMILY
from tasks.preflight.data_checks import (
    SAMPLE_SIZE,
    check_data,
    image_findings,
    several_images_findings,
    token_findings,
    validation_findings,
)
from tasks.settings import DataConfig, TrainingConfig

DataFolder = Callable[..., Path]


def test_broken_image_is_an_error_or_a_warning_if_dropped(data_folder: DataFolder) -> None:
    root = data_folder()
    image = next((root / "imagenes").rglob("*.jpg"))
    image.write_bytes(image.read_bytes()[:200])
    for broken, level in (("refuse", "stops"), ("drop", "warning")):
        config = DataConfig(root=root, sources=("NWPU",), broken_images=broken)
        _, sample = check_data(config)
        assert sample is not None
        (found,) = image_findings(sample, config)
        assert found.level == level
        assert f"1 image(s) cannot be read, first {image}" in found.text


def test_missing_images_are_a_warning_or_an_error_if_all_are_missing(data_folder: DataFolder) -> None:
    root = data_folder()
    config = DataConfig(root=root, sources=("NWPU",))
    for image in (images := sorted((root / "imagenes").rglob("*.jpg"))):
        image.unlink()
        _, sample = check_data(config)
        assert sample is not None
        (found,) = image_findings(sample, config)
        assert found.level == ("stops" if image == images[-1] else "warning")


def test_sample_depends_only_on_the_seed(data_folder: DataFolder) -> None:
    root = data_folder(records=SAMPLE_SIZE + 20)
    drawn = []
    for seed in (1, 1, 2):
        _, sample = check_data(DataConfig(root=root, sources=("NWPU",), seed=seed))
        assert sample is not None
        assert (len(sample.records), sample.total) == (SAMPLE_SIZE, SAMPLE_SIZE + 20)
        drawn.append([record["id"] for record in sample.records])
    assert drawn[0] == drawn[1] != drawn[2]


def test_missing_folder_and_missing_source_are_errors(data_folder: DataFolder, tmp_path: Path) -> None:
    found, _ = check_data(DataConfig(root=tmp_path / "none"))
    assert found.level == "stops" and "set data.root" in found.text
    found, _ = check_data(DataConfig(root=data_folder(), sources=("LR",)))
    assert found.level == "stops" and "set data.sources" in found.text


def test_a_missing_folder_of_images_elsewhere_is_an_error(data_folder: DataFolder, tmp_path: Path) -> None:
    config = DataConfig(root=data_folder(), sources=("NWPU",), image_root={"NWPU": tmp_path / "none"})
    for given in (config, config.model_copy(update={"fetch": True})):
        found, sample = check_data(given)
        assert (found.level, sample) == ("stops", None)
        assert found.text.startswith(f"data.image_root.NWPU is {tmp_path / 'none'}, which is not a folder")


def test_images_elsewhere_are_checked_without_a_view_of_them(data_folder: DataFolder, tmp_path: Path) -> None:
    root = data_folder()
    (root / "imagenes" / "NWPU").rename(tmp_path / "elsewhere")
    (root / "imagenes").rmdir()
    config = DataConfig(root=root, sources=("NWPU",), image_root={"NWPU": tmp_path / "elsewhere"})
    found, sample = check_data(config)
    assert found.level == "ok" and sample is not None
    assert [one.text for one in image_findings(sample, config)] == ["8 images of a random sample of records decoded"]
    broken = next((tmp_path / "elsewhere").rglob("*.jpg"))
    broken.write_text("no image")
    [finding] = image_findings(sample, config)
    assert finding.level == "stops" and f"first {broken}" in finding.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "elsewhere"]


def test_absolute_image_paths_are_reported_with_the_setting_for_them(data_folder: DataFolder) -> None:
    root = data_folder()
    records = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps([{**one, "image": f"/disk/{one['image']}"} for one in records]))
    found, _ = check_data(DataConfig(root=root, sources=("NWPU",)))
    assert found.level == "stops"
    assert "image path is absolute: 8" in found.text and found.text.endswith("in data.image_root")


def test_records_of_text_alone_are_counted_where_they_are_trained(data_folder: DataFolder) -> None:
    root = data_folder()
    records = json.loads((root / "dataset.json").read_text())
    turns = [{"from": "human", "value": "What is NDVI?"}, {"from": "gpt", "value": "an index"}]
    (root / "dataset.json").write_text(json.dumps([*records, {"id": "text", "conversations": turns}]))
    for setting, counted in (("drop", False), ("train", True)):
        found, _ = check_data(DataConfig(root=root, sources=("NWPU",), text_only=setting))
        assert found.level == "ok" and found.text.startswith("8 records of")
        assert found.text.endswith(", and 1 of text alone for training") == counted


def test_other_sources_of_the_file_are_named(data_folder: DataFolder) -> None:
    root = data_folder()
    records = [{**record, "image": "flat.jpg"} for record in json.loads((root / "dataset.json").read_text())]
    (root / "dataset.json").write_text(json.dumps(records))
    found, _ = check_data(DataConfig(root=root, sources=("LR",)))
    assert found.text.endswith(f"to those that you have (source unnamed not selected: {len(records)})")


def test_each_selected_source_needs_records_and_images(data_folder: DataFolder) -> None:
    root = data_folder()
    records = json.loads((root / "dataset.json").read_text())
    found, sample = check_data(DataConfig(root=root, sources=("NWPU", "LR")))
    assert (found.level, sample) == ("stops", None) and "holds no record of LR: set data.sources" in found.text
    records += [{**record, "id": f"LR_{record['id']}", "image": "LR/Train/1.tif"} for record in records]
    (root / "dataset.json").write_text(json.dumps(records))
    found, _ = check_data(DataConfig(root=root, sources=("NWPU", "LR")))
    assert found.level == "stops" and "holds no image of LR: put them there" in found.text
    assert check_data(DataConfig(root=root, sources=("NWPU", "LR"), fetch=True))[0].level == "ok"
    found, _ = check_data(DataConfig(sources=("UCM",)))
    assert found.level == "stops" and "no scenes of UCM" in found.text


def test_records_that_leave_a_set_empty_are_an_error(data_folder: DataFolder) -> None:
    found, _ = check_data(DataConfig(root=data_folder(records=1), sources=("NWPU",)))
    assert found.level == "stops" and "1 records leave 1 for training and 0 for the test" in found.text


@pytest.mark.parametrize(
    ("data", "training", "sentence"),
    [
        ({"train": 0.5, "test": 0.5}, {"eval_strategy": "epoch"}, "The validation set has no samples"),
        (
            {"train": 0.5, "test": 0.25},
            {"eval_strategy": "epoch", "eval_answers": 2, "metric_for_best_model": "accuracy"},
            "The validation set has no questions for the metric accuracy",
        ),
        ({"train": 0.5, "test": 0.25}, {"eval_strategy": "epoch"}, None),
        ({"train": 0.5, "test": 0.5}, {}, None),
    ],
)
def test_validation_without_samples_or_questions_is_an_error(
    data_folder: DataFolder, data: dict[str, float], training: dict[str, Any], sentence: str | None
) -> None:
    _, sample = check_data(DataConfig(root=data_folder(), sources=("NWPU",), **data))
    assert sample is not None
    found = [finding.text for finding in validation_findings(sample, TrainingConfig(**training))]
    assert len(found) == (sentence is not None) and all(text.startswith(str(sentence)) for text in found)


def test_synthetic_or_unfetched_data_is_not_checked(tmp_path: Path) -> None:
    assert check_data(DataConfig())[0].level == "ok"
    assert check_data(DataConfig(root=tmp_path / "none", fetch=True))[0].level == "warning"


def test_token_counts_are_compared_with_the_limit(data_folder: DataFolder, tiny_model_dir: Path) -> None:
    from tasks.model.loading import load_processor

    root, processor = data_folder(turns=12), load_processor(tiny_model_dir)
    _, sample = check_data(DataConfig(root=root, sources=("NWPU",)))
    assert sample is not None

    def found(limit: int, split: bool) -> tuple[str, str]:
        training = TrainingConfig(model_max_length=limit, split_long_conversations=split)
        (finding,), _ = token_findings(sample, processor, training)
        return finding.level, finding.text

    assert found(2048, split=True)[0] == "ok"
    level, text = found(300, split=True)
    assert level == "ok" and "8 of 8 records are split" in text
    level, text = found(300, split=False)
    assert level == "warning" and "8 of 8 records lose answers" in text
    level, text = found(64, split=True)
    assert level == "stops" and "the image alone takes 64" in text


def test_several_images_for_a_base_that_takes_one_are_a_warning(data_folder: DataFolder) -> None:
    root = data_folder()
    file = root / "dataset.json"
    records = json.loads(file.read_text())
    pair = {**records[0], "id": "pair", "image": [records[0]["image"], records[1]["image"]]}
    file.write_text(json.dumps([*records, pair]))
    found: dict[int, Any] = {}
    for number in (1, 2):
        config = DataConfig(root=root, sources=("NWPU",), max_images=number)
        data, sample = check_data(config)
        assert ("1 with several images for training" in data.text) == (number == 2)
        found[number] = several_images_findings(config, sample, FAMILY)
        assert several_images_findings(config, sample, None) == []
    assert found[1] == []
    ((level, text),) = [(one.level, one.text) for one in found[2]]
    assert level == "warning"
    assert text.startswith("data.max_images is 2, and LLaVA 1.5 takes one image: its training drops 1 records")
