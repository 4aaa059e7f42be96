"""Boxes in texts, and the task of the questions that ask for them."""

import pytest

from tasks.boxes import is_only_boxes, read_boxes
from tasks.turn_tasks import count_by_source, describe_tasks, turn_tasks

BOX = (10.0, 20.0, 30.0, 40.0)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("{<10><20><30><40>}", "braces"),
        ("<p>the ship</p> {<10><20><30><40>}", "braces"),
        ("[10, 20, 30, 40]", "brackets"),
        ("[[10,20.0,30,40]].", "brackets"),
        ("<ref>ship</ref><box>[[10, 20, 30, 40]]</box>", "brackets"),
        ('```json\n[{"bbox_2d": [10, 20, 30, 40], "label": "ship, large"}]\n```', "brackets"),
        ("<|object_ref_start|>ship<|object_ref_end|><|box_start|>(10,20),(30,40)<|box_end|>", "corners"),
        ("<box>(10,20),(30,40)</box>", "corners"),
    ],
)
def test_a_box_is_read_in_every_form(text, form):
    assert read_boxes(text) == (form, (BOX,)) and is_only_boxes(text)


def test_several_boxes_and_angles_are_read():
    assert read_boxes("{<1><2><3><4>|<45>}<delim>{<5><6><7><8>}").boxes == ((1, 2, 3, 4, 45), (5, 6, 7, 8))
    assert read_boxes("[[1, 2, 3, 4, -30], [5, 6, 7, 8, 0]]").boxes == ((1, 2, 3, 4, -30), (5, 6, 7, 8, 0))


def test_shares_with_all_decimals_of_python_are_a_box():
    text = str([1 / 7, 1 / 30, 2 / 3, 0.5])
    assert read_boxes(text).boxes == ((1 / 7, 1 / 30, 2 / 3, 0.5),) and is_only_boxes(text)


@pytest.mark.parametrize("text", ["yes", "", "12", "{<1><2>}", "[1, 2, 3]", "(a) 3", "a road (12 m)", "[vqa]"])
def test_other_texts_have_no_box(text):
    assert read_boxes(text) is None and not is_only_boxes(text)


def record(question, answer, image="VRS/images/0.png", **fields):
    turns = [{"from": "human", "value": question, **fields}, {"from": "gpt", "value": answer}]
    return {"id": "1", "image": image, "conversations": turns}


@pytest.mark.parametrize(
    ("row", "task"),
    [
        (record("[refer] Where is the ship?", "{<1><2><3><4>}"), "grounding"),
        (record("Where is the ship?", "It is at [1, 2, 3, 4]."), "grounding"),
        (record("Where is it?", "[1, 2, 3, 4]", "LR/Train/1.tif"), "grounding"),
        (record("Describe it.", "[1, 2, 3, 4]"), "grounding"),
        (record("Where is the ship?", "left", task="grounding"), "grounding"),
        (record("Where is it?", "[1, 2, 3, 4]", task="vqa"), "grounding"),
        (record("Describe the image.", "a ship {<1><2><3><4>} at sea"), "captioning"),
        (record("[refer] Where is the ship?", "left"), "vqa"),
        (record("[identify] What is at {<1><2><3><4>}?", "a ship"), "vqa"),
    ],
)
def test_a_question_for_boxes_is_grounding(row, task):
    assert turn_tasks(row) == (task,)


def test_a_last_question_without_an_answer_has_a_task():
    row = record("[refer] Where is it?", "x")
    row["conversations"].pop()
    assert turn_tasks(row) == ("vqa",)


def test_questions_for_boxes_are_counted_apart():
    counted = count_by_source([record("Where is it?", "[1, 2, 3, 4]"), record("Is it?", "yes")])
    assert counted == {"VRS": {"captioning": 0, "vqa": 1, "guessed": 1, "grounding": 1}}
    assert "1 question, 1 question for boxes" in describe_tasks(counted)[0]
