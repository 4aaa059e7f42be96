"""RSVQA: three tables in any order, inactive entries, splits, types of questions and names of images."""

import json
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest
from support.other_formats import rsvqa, write

from tasks.errors import DataError


def test_the_files_may_be_in_any_order(tmp_path: Path, imported: Callable) -> None:
    found = [imported(list(files))[0] for files in permutations(rsvqa(tmp_path))]
    assert all(records == found[0] for records in found)


def test_ids_types_splits_and_number_answers_are_kept(tmp_path: Path, imported: Callable) -> None:
    records, manifest = imported(rsvqa(tmp_path))
    assert [record["id"] for record in records] == [0, 1, 2, 3]
    assert {record["split"] for record in records} == {"train"} and {record["task"] for record in records} == {"vqa"}
    types = [record["conversations"][0]["question_type"] for record in records]
    assert types == ["rural_urban", "comparison", "count", "presence"]
    assert records[2]["conversations"] == [
        {"from": "human", "value": "<image>\nHow many roads are there?", "question_type": "count"},
        {"from": "gpt", "value": "3"},
    ]
    assert [record["image"] for record in records] == ["LR/0.tif", "LR/0.tif", "LR/1.tif", "LR/1.tif"]
    inactive = "(its entry has active: false in all files)"
    assert manifest["dropped"] == {f"inactive {what} {inactive}": 1 for what in ("answer", "image", "question")}


def test_an_entry_that_is_active_in_another_split_is_not_lost(tmp_path: Path, imported: Callable) -> None:
    train = rsvqa(tmp_path, "train")
    (tmp_path / "test").mkdir()
    test = rsvqa(tmp_path / "test", "test")
    for path in test:
        ((name, rows),) = json.loads(path.read_text()).items()
        stubs = [{"id": row["id"], "active": False} for row in rows[1:]]
        moved = [{**row, "id": 99, **({"question_id": 99} if name == "answers" else {})} for row in rows[1:2]]
        write(path, {name: stubs + moved})
    records, manifest = imported([*train, *test])
    assert manifest["dropped"] == {}
    assert [(record["id"], record["split"]) for record in records][-1] == (99, "test")


def test_splits_by_flags_alone_take_the_words_from_the_table_of_all(tmp_path: Path, imported: Callable) -> None:
    questions, answers, images = rsvqa(tmp_path, "all")
    flags = {"questions": [{"id": 0, "active": True}, {"id": 1, "active": False}]}
    flagged = write(tmp_path / "USGS_split_test_questions.json", flags)
    records, _ = imported([questions, flagged, answers, images])
    assert [record.get("split") for record in records] == ["test", None, None, None]


def test_a_missing_table_is_named(tmp_path: Path, imported: Callable) -> None:
    questions, answers, images = rsvqa(tmp_path)
    with pytest.raises(DataError, match="RSVQA's file of answers is missing"):
        imported([questions, images], source="LR")
    assert [record["image"] for record in imported([questions, answers])[0]][:1] == ["LR/0.tif"]


def test_without_a_source_the_types_of_questions_tell_it_or_else_the_file_names(
    tmp_path: Path, imported: Callable
) -> None:
    files = rsvqa(tmp_path)
    questions = json.loads(files[0].read_text())
    questions["questions"][1]["type"] = "area"
    write(files[0], questions)
    assert imported(files)[0][0]["image"] == "HR/0.tif"
    questions["questions"][1]["type"] = "presence"
    write(files[0], questions)
    assert imported(files)[0][0]["image"] == "LR/0.tif"
    others = [path.rename(tmp_path / path.name.removeprefix("LR_split_")) for path in files]
    assert imported(others)[0][0]["image"] == "0.tif"
    questions["questions"][1]["type"], questions["questions"][2]["type"] = "area", "rural_urban"
    write(others[0], questions)
    with pytest.raises(DataError, match="both RSVQA-LR and RSVQA-HR: import them one after the other"):
        imported(others)


SCENE = "S2A_MSIL1C_20170526T105031_N0205_R051_T31UFU_20170526T105518_0-256.tif"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a.tif", "b.tif"], ["LR/a.tif", "LR/b.tif"]),
        # names of the scenes that images were cut from: the archive has 0.tif and 1.tif
        (["a.tif", "a.tif"], ["LR/0.tif", "LR/1.tif"]),
        ([SCENE, SCENE.replace("0-", "1-")], ["LR/0.tif", "LR/1.tif"]),
        ([None, None], ["LR/0.tif", "LR/1.tif"]),
    ],
)
def test_an_image_is_named_by_its_own_name_or_by_its_id(
    tmp_path: Path, imported: Callable, names: list[str], found: list[str]
) -> None:
    files = rsvqa(tmp_path)
    rows = [{"id": number, "original_name": name, "active": True} for number, name in enumerate(names)]
    write(files[2], {"images": rows})
    assert list(dict.fromkeys(record["image"] for record in imported(files)[0])) == found


def test_questions_without_a_usable_answer_or_image_are_counted(tmp_path: Path, imported: Callable) -> None:
    files = rsvqa(tmp_path)
    write(files[1], {"answers": [{"id": 0, "question_id": 0, "answer": "rural", "active": True}]})
    write(files[2], {"images": [{"id": 0, "original_name": "0.tif", "active": True}]})
    records, manifest = imported(files)
    assert len(records) == 1
    assert manifest["dropped"]["question without an answer"] == 1
    assert manifest["dropped"]["question about an image that is inactive or not in the images file"] == 2
