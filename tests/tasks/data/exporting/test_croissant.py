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


TEXT = {"id": "text", "conversations": asked_record("", [("What is NDVI?", "an index")])["conversations"]}


def describe(folder: Path) -> Path:
    records = {"train": [RECORDS[0], TEXT, RECORDS[1]], "test": RECORDS}
    sets = {name: written(folder / f"data_{name}.json", each) for name, each in records.items()}
    write_croissant(folder / "croissant.json", sets, ["LR", "unnamed"], "0123456789abcdef", mixed=["train"])
    return folder / "croissant.json"


def test_files_are_listed_with_their_hashes_licences_and_citations(tmp_path: Path) -> None:
    found = read_json(describe(tmp_path))
    assert found["license"] == ["CC BY 4.0"] and "Lobry" in found["citeAs"]
    assert {each["contentUrl"] for each in found["distribution"]} == {"data_train.json", "data_test.json"}
    digest = hashlib.sha256((tmp_path / "data_train.json").read_bytes()).hexdigest()
    assert found["distribution"][0]["sha256"] == digest
    assert [each["@id"] for each in found["recordSet"]] == ["train", "train_turns", "test", "test_turns"]
    paths = [each["field"][0]["source"]["extract"]["jsonPath"] for each in found["recordSet"][::2]]
    assert paths == ["$[*].image.`parent`.id", "$[*].id"]


@pytest.mark.filterwarnings("ignore")  # of the package itself
def test_mlcroissant_accepts_it_and_reads_the_records(tmp_path: Path) -> None:
    croissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    dataset = croissant.Dataset(describe(tmp_path))
    assert not dataset.metadata.ctx.issues.errors
    for name, in_turns in (("test", RECORDS), ("train", [RECORDS[0], TEXT, RECORDS[1]])):
        records = [{key: value.decode() for key, value in row.items()} for row in dataset.records(name)]
        # those with an image: a record of text alone is only among the turns
        assert records == [{f"{name}/id": each["id"], f"{name}/image": each["image"]} for each in RECORDS]
        turns = [row[f"{name}_turns/value"].decode() for row in dataset.records(f"{name}_turns")]
        assert turns == [turn["value"] for record in in_turns for turn in record["conversations"]]
