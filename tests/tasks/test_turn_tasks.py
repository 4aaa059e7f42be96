import json
from collections import Counter

import pytest
from support.locations import REAL

from tasks.sources import source_of
from tasks.turn_tasks import answered_turns, count_by_source, describe_tasks, is_task_counts, turn_tasks

RAW = REAL / "instructions_raw.json"
MIXED = ("<image>\nDescribe the image in detail", "How many ships are there?", "Is there a pier?")


def record(*prompts: str, image: str = "VRS/images/0.png", **fields: object) -> dict:
    turns = [turn for text in prompts for turn in ({"from": "human", "value": text}, {"from": "gpt", "value": "x"})]
    return {"id": "1", "image": image, "conversations": turns, **fields}


def test_each_turn_has_its_own_task():
    assert turn_tasks(record(*MIXED)) == ("captioning", "vqa", "vqa")
    assert turn_tasks(record(*MIXED[::-1])) == ("vqa", "vqa", "captioning")


def test_answered_turns_pair_questions_with_answers_and_leave_out_an_open_question():
    row = record(*MIXED)
    row["conversations"].pop()
    assert list(answered_turns(row)) == [("captioning", MIXED[0], "x"), ("vqa", MIXED[1], "x")]


def test_source_states_the_task_of_all_turns():
    assert turn_tasks(record(*MIXED, image="NWPU/NWPU_images/a/a_1.jpg")) == ("captioning",) * 3
    assert turn_tasks(record(*MIXED, image="LR/Train/1.tif")) == ("vqa",) * 3


@pytest.mark.parametrize("field", ["task", "type"])
@pytest.mark.parametrize(("value", "task"), [("vqa", "vqa"), ("presence", "vqa"), ("captioning", "captioning")])
def test_record_field_states_the_task(field, value, task):
    assert turn_tasks(record("Go on.", **{field: value})) == (task,)


def test_field_task_precedes_type_and_an_unknown_value_is_ignored():
    assert turn_tasks(record(MIXED[0], task="vqa", type="caption")) == ("vqa",)
    assert turn_tasks(record(*MIXED, task="conversation", type=3)) == ("captioning", "vqa", "vqa")


def test_tag_or_field_of_a_turn_precedes_the_record():
    row = record("[caption] <image>\nGo on.", "[refer] where is the ship?", "Describe it.", task="vqa")
    row["conversations"][4]["type"] = "caption"
    assert turn_tasks(row) == ("captioning", "vqa", "captioning")


@pytest.mark.parametrize("tag", ["vqa", "refer", "identify", "detection"])
def test_tag_of_a_question_overrides_caption_words(tag):
    assert turn_tasks(record(f"[{tag}] <image>\nDescribe the image.")) == ("vqa",)


def test_guessed_tasks_are_counted_by_source():
    rows = [record(*MIXED), record("[vqa] Is it?", MIXED[0], image="0.png"), record("Is it?", image="LR/Train/1.tif")]
    counted = count_by_source(rows, "GeoChat")
    assert counted == {
        "VRS": {"captioning": 1, "vqa": 2, "guessed": 3},
        "GeoChat": {"captioning": 1, "vqa": 1, "guessed": 1},
        "LR": {"captioning": 0, "vqa": 1, "guessed": 0},
    }
    assert describe_tasks(counted)[1:] == [
        "GeoChat: 1 caption prompt, 1 question; 1 of these guessed from the words of the prompt",
        "LR: 1 question",
    ]


@pytest.mark.parametrize("found", [None, [], {"A": 3}, {"A": {}}, {"A": {"captioning": 1, "vqa": "2", "guessed": 0}}])
def test_only_complete_counts_of_a_manifest_are_accepted(found):
    assert not is_task_counts(found)
    assert is_task_counts({}) and is_task_counts(count_by_source([record(*MIXED)]))


def test_all_turns_of_a_real_record_have_one_task():
    if not RAW.exists():
        pytest.skip("golden values not present")
    tasks = Counter((source_of(row["image"]), *sorted(set(turn_tasks(row)))) for row in json.loads(RAW.read_bytes()))
    assert tasks == {
        ("NWPU", "captioning"): 280,
        ("RSICD", "captioning"): 1027,
        ("UAV", "captioning"): 25,
        ("UCM", "captioning"): 1042,
        ("UCM", "vqa"): 279,
        ("LR", "vqa"): 7,
        ("DOTA", "vqa"): 6,
        ("ocr_vqa", "vqa"): 2,
    }
