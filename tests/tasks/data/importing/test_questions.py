"""Question files of LLaVA, GeoChat and VRSBench."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.other_formats import geochat, rsvqa, vrsbench, write, write_lines


def test_categories_of_geochat_are_types_of_questions(tmp_path: Path, imported: Callable) -> None:
    records, manifest = imported(geochat(tmp_path / "a.jsonl"), source="LR")
    types = [record["conversations"][0]["question_type"] for record in records]
    assert types == ["rural_urban", "comparison", "presence"]
    assert [record["image"] for record in records] == ["LR/0.tif", "LR/1.tif", "LR/2.tif"]
    assert manifest["tasks"]["LR"] == {"captioning": 0, "vqa": 3, "guessed": 0}


def test_questions_without_answers_take_them_from_rsvqa(tmp_path: Path, imported: Callable) -> None:
    _, answers, _ = rsvqa(tmp_path)
    rows = [{"question_id": number, "image": "0.tif", "text": "Is it?", "category": "comp"} for number in (0, 1, 50)]
    records, manifest = imported([write_lines(tmp_path / "a.jsonl", rows), answers], source="LR")
    assert [(record["id"], record["conversations"][1]["value"]) for record in records] == [(0, "rural"), (1, "no")]
    assert manifest["dropped"]["question without an answer"] == 1


@pytest.mark.parametrize(
    ("row", "task"),
    [
        ({"category": "default"}, None),
        ({"category": "caption"}, "captioning"),
        ({"category": "color"}, "vqa"),
        ({"task": "grounding"}, "grounding"),
        ({}, None),
    ],
)
def test_the_task_is_that_of_the_category(tmp_path: Path, imported: Callable, row: dict, task: str | None) -> None:
    whole = {"question_id": 1, "image": "a.png", "text": "Is it?", "answer": 3, **row}
    (record,), _ = imported([write_lines(tmp_path / "a.jsonl", [whole])])
    assert record.get("task") == task and record["conversations"][1]["value"] == "3"


def test_vrsbench_has_captions_questions_and_boxes(tmp_path: Path, imported: Callable) -> None:
    records, _ = imported(vrsbench(tmp_path / "VRSBench_EVAL_vqa.json"))
    assert [record["task"] for record in records] == ["captioning", "vqa", "grounding"]
    assert {record["split"] for record in records} == {"test"}
    assert {record["image"] for record in records} == {"VRSBench/P0003_0002.png"}
    assert records[1]["conversations"] == [
        {"from": "human", "value": "<image>\nHow many ships?", "question_type": "object quantity"},
        {"from": "gpt", "value": "2"},
    ]


def test_the_training_file_and_annotations_of_vrsbench_are_read(tmp_path: Path, imported: Callable) -> None:
    turns = [{"from": "human", "value": "<image>\n[vqa] Is it?"}, {"from": "gpt", "value": "yes"}]
    train = write(tmp_path / "VRSBench_train.json", [{"id": "a", "image": "a.png", "conversations": turns}])
    (record,), _ = imported([train], format="vrsbench")
    assert record["image"] == "VRSBench/a.png" and record["split"] == "train"
    pairs = [{"ques_id": 1, "question": "Is it?", "type": "Object existence", "answer": "yes"}]
    whole = {"image": "b.png", "caption": "a ship", "objects": [{"obj_id": 0}], "qa_pairs": pairs}
    records, manifest = imported([write(tmp_path / "b.json", whole)])
    assert [record["id"] for record in records] == ["b_caption", "b_1"]
    assert records[1]["conversations"][0]["question_type"] == "object existence"
    assert list(manifest["dropped"].values()) == [1]


def test_images_that_geochat_names_without_a_suffix_get_it(tmp_path: Path, imported: Callable) -> None:
    rows = [{"image_id": "P1_0", "question": "the ship", "ground_truth": "{<1><2><3><4>}", "type": "ref"}]
    files = [write_lines(tmp_path / "a.jsonl", rows)]
    assert imported(files, source="G")[0][0]["image"] == "G/P1_0.png"
    # images of several data sets: not all are VRSBench's
    assert imported(files)[0][0]["image"] == "P1_0.png"
    (tmp_path / "G").mkdir()
    (tmp_path / "G" / "P1_0.jpg").touch()
    assert imported(files, source="G", images=tmp_path)[0][0]["image"] == "G/P1_0.jpg"


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (None, "no image: text alone"),
        ("", "no image: text alone"),
        ([], "no image: text alone"),
        ({"path": "a.png"}, "no image: text alone"),
        (["a.png", "b.png"], "several images"),
    ],
)
@pytest.mark.parametrize("key", ["image", "image_id"])
def test_a_question_without_one_image_is_counted(
    tmp_path: Path, imported: Callable, key: str, image: object, reason: str
) -> None:
    whole = {"question_id": 1, "question": "Is it?", "ground_truth": "yes", key: "a.png"}
    records, manifest = imported([write_lines(tmp_path / "a.jsonl", [whole, {**whole, "question_id": 2, key: image}])])
    assert [record["id"] for record in records] == [1] and manifest["dropped"] == {reason: 1}


@pytest.mark.parametrize("key", ["category", "question_type", "type"])
def test_every_name_of_the_type_of_a_question_is_read(tmp_path: Path, imported: Callable, key: str) -> None:
    row = {"question_id": 1, "image": "a.png", "text": "Is it?", "answer": "yes", key: "comp"}
    (record,), _ = imported([write_lines(tmp_path / "a.jsonl", [row])])
    assert record["conversations"][0]["question_type"] == "comparison" and record["task"] == "vqa"


def test_without_a_type_the_words_of_vrsbench_decide(tmp_path: Path, imported: Callable) -> None:
    row = {"image_id": "a.png", "question": "Describe the image in detail", "ground_truth": "two ships"}
    records, manifest = imported([write(tmp_path / "a.json", [row])])
    assert "task" not in records[0]
    assert manifest["tasks"]["VRSBench"] == {"captioning": 1, "vqa": 0, "guessed": 1}


def test_annotations_of_vrsbench_have_the_split_of_their_folder(tmp_path: Path, imported: Callable) -> None:
    (tmp_path / "Annotations_val").mkdir()
    whole = {"image": "P0003_0002.png", "caption": "a ship", "qa_pairs": []}
    (record,), _ = imported([write(tmp_path / "Annotations_val" / "P0003_0002.json", whole)])
    assert record["split"] == "val"
