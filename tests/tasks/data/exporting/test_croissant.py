"""Croissant metadata of a dataset version."""

import hashlib
from pathlib import Path

import pytest
from support.files import written
from support.llava_records import asked_record

from tasks.data.exporting.croissant import write_croissant
from tasks.files import read_json

RECORDS = [
    asked_record("LR/Train/1.tif", [("Is it?", "yes"), ("And?", "no")]),
    asked_record("A/b.png", [("What?", "c")]),
]


def describe(folder: Path) -> Path:
    sets = {name: written(folder / f"data_{name}.json", RECORDS) for name in ("train", "test")}
    write_croissant(folder / "croissant.json", sets, ["LR", "unnamed"], "0123456789abcdef")
    return folder / "croissant.json"


def test_files_are_listed_with_their_hashes_licences_and_citations(tmp_path: Path) -> None:
    found = read_json(describe(tmp_path))
    assert found["license"] == ["CC BY 4.0"] and "Lobry" in found["citeAs"]
    assert {each["contentUrl"] for each in found["distribution"]} == {"data_train.json", "data_test.json"}
    digest = hashlib.sha256((tmp_path / "data_train.json").read_bytes()).hexdigest()
    assert found["distribution"][0]["sha256"] == digest
    assert [each["@id"] for each in found["recordSet"]] == ["train", "train_turns", "test", "test_turns"]


@pytest.mark.filterwarnings("ignore")  # of the package itself
def test_mlcroissant_accepts_it_and_reads_the_records(tmp_path: Path) -> None:
    croissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    dataset = croissant.Dataset(describe(tmp_path))
    assert not dataset.metadata.ctx.issues.errors
    records = [{key: value.decode() for key, value in row.items()} for row in dataset.records("test")]
    assert records == [{"test/id": each["id"], "test/image": each["image"]} for each in RECORDS]
    turns = [row["test_turns/value"].decode() for row in dataset.records("test_turns")]
    assert turns == [turn["value"] for record in RECORDS for turn in record["conversations"]]
