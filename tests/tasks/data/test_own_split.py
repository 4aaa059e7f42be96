"""A dataset version that is divided as its records state."""

from pathlib import Path

import pytest

from tasks.data.preparing import prepare_dataset
from tasks.data.synthetic.dataset import draw_sample
from tasks.files import read_json, write_json
from tasks.paths import DataFolder
from tasks.settings import DataConfig, SampleConfig


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    draw_sample(tmp_path / "data", SampleConfig(scenes=40, image_size=48))
    return DataFolder(tmp_path / "data")


def divide(folder: DataFolder, splits: tuple[str | None, ...]) -> int:
    """State the splits in turn, and return the number of records."""
    records = read_json(folder.raw)
    write_json(folder.raw, [{**record, "split": splits[n % len(splits)]} for n, record in enumerate(records)])
    return len(records)


def test_each_record_is_in_the_set_that_it_states(folder: DataFolder, tmp_path: Path) -> None:
    number = divide(folder, ("train", "test", "val", None))
    out = tmp_path / "sets"
    prepare_dataset(folder.raw, folder.images, DataConfig(protocol="own"), out)
    found = {name: read_json(out / f"data_{name}.json") for name in ("train", "val", "test")}
    assert all(record["split"] == name for name, records in found.items() for record in records)
    dropped = read_json(out / "data_train.manifest.json")["dropped"]
    assert dropped["no split of its own (train, val or test)"] + sum(map(len, found.values())) == number


def test_test_images_in_the_training_set_are_counted(folder: DataFolder, tmp_path: Path) -> None:
    divide(folder, ("train", "test"))
    records = read_json(folder.raw)
    write_json(folder.raw, [*records, {**records[0], "id": "again", "split": "test"}])
    prepare_dataset(folder.raw, folder.images, DataConfig(protocol="own"), tmp_path / "sets")
    noticed = read_json(tmp_path / "sets" / "MANIFEST.json")["details"]["noticed"]
    assert noticed["test image that is also in the training set"] == 1


def test_without_records_for_validation_there_are_two_sets(folder: DataFolder, tmp_path: Path) -> None:
    divide(folder, ("train", "test"))
    prepare_dataset(folder.raw, folder.images, DataConfig(protocol="own"), tmp_path / "sets")
    assert not (tmp_path / "sets" / "data_val.json").exists()
    assert len(read_json(tmp_path / "sets" / "croissant.json")["recordSet"]) == 4
