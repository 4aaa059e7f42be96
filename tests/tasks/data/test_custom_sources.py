"""What data.custom_sources states is written onto the records."""

from typing import Any

import pytest

from tasks.data.custom_sources import SourceFacts
from tasks.errors import DataError
from tasks.settings import DataConfig
from tasks.turn_tasks import turn_tasks


def facts(**source: Any) -> SourceFacts:
    return SourceFacts(DataConfig(custom_sources=({"name": "FLOOD", **source},)))


def record(*questions: str, image: str = "FLOOD/1.jpg", **fields: Any) -> Any:
    turns = [
        turn
        for question in questions
        for turn in ({"from": "human", "value": question}, {"from": "gpt", "value": "yes"})
    ]
    return {"id": "r", "image": image, "conversations": turns, **fields}


def types(applied: Any) -> list[str | None]:
    return [turn.get("question_type") for turn in applied["conversations"][::2]]


def test_records_of_other_sources_are_the_same_objects() -> None:
    for row in (record("What?", image="LR/1.tif"), {"id": 1, "conversations": []}, record("A", image="")):
        assert facts(task="vqa", question_types={"a": "b"}).applied(row)[0] is row


def test_a_record_without_a_task_gets_that_of_its_source() -> None:
    [applied] = facts(task="captioning").applied(row := record("How many?"))
    assert applied == {**row, "task": "captioning"} and turn_tasks(applied) == ("captioning",)
    [same] = facts(task="captioning").applied(row := record("How many?", type="vqa"))
    assert same is row


def test_a_task_that_is_not_known_is_replaced_and_counted() -> None:
    given = facts(task="vqa")
    assert given.applied(record("Describe it.", task="7b"))[0]["task"] == "vqa"
    assert given.noticed == {"task that is not known, replaced by that of its source": 1}


def test_a_field_of_the_record_states_the_task_before_the_source() -> None:
    given = facts(task="captioning", task_field="kind")
    assert given.applied(record("What?", kind="visual question answering"))[0]["task"] == "vqa"
    assert given.applied(record("What?"))[0]["task"] == "captioning"


def test_the_first_pattern_that_is_found_decides() -> None:
    given = facts(question_types={"street": "road", "water": "FLOOD"})
    questions = ("<image>\nIs the ROAD flooded?", "Based on the image, is it flooded?", "How many cars?")
    assert types(given.applied(record(*questions))[0]) == ["street", "water", None]


def test_caption_prompts_get_no_type() -> None:
    given = facts(question_types={"all": "."})
    assert types(given.applied(record("Describe the image.", "Is it?"))[0]) == [None, "all"]


def test_a_stated_type_precedes_the_patterns() -> None:
    given = facts(question_types={"all": "."})
    row = record("Is it?", "Are they?")
    row["conversations"][0]["question_type"] = "own"
    assert types(given.applied(row)[0]) == ["own", "all"]
    assert types(given.applied(record("Is it?", question_type="own"))[0]) == [None]


def test_another_field_may_state_the_type() -> None:
    given = facts(question_types={"all": "."}, question_type_field="category")
    row = record("Is it?", "Are they?")
    row["conversations"][0]["category"] = "own"
    assert types(given.applied(row)[0]) == ["own", "all"]
    assert given.applied(record("Is it?", category="own"))[0]["question_type"] == "own"


def test_captions_in_a_field_become_a_record_each() -> None:
    given = facts(references="sentences", task="captioning")
    row = record("Describe", sentences=["a road", {"raw": "yes", "tokens": []}, " ", {"caption": "two roads"}])
    applied = given.applied(row)
    assert [one["id"] for one in applied] == ["r", "r-2", "r-3"]
    assert [one["conversations"][1]["value"] for one in applied] == ["yes", "a road", "two roads"]
    assert all(one["task"] == "captioning" and "sentences" not in one for one in applied)
    assert given.noticed == {"empty reference caption left out": 1, "record of a further reference caption": 2}


def test_a_record_without_an_answer_gets_the_first_caption() -> None:
    row = record("Describe", sentences=["a", "b"])
    del row["conversations"][1]
    applied = facts(references="sentences").applied(row)
    assert [[turn["value"] for turn in one["conversations"]] for one in applied] == [
        ["Describe", "a"],
        ["Describe", "b"],
    ]
    row = record("Describe", "Is it?", sentences="alone")
    row["conversations"][1]["value"] = ""
    [one] = facts(references="sentences").applied(row)
    assert [turn["value"] for turn in one["conversations"]] == ["Describe", "alone", "Is it?", "yes"]


def test_an_answer_that_is_not_among_the_captions_is_kept() -> None:
    applied = facts(references="sentences").applied(record("Describe", sentences=["a", "b"]))
    assert [one["conversations"][1]["value"] for one in applied] == ["yes", "a", "b"]


@pytest.mark.parametrize("value", [[1], [{"x": "a"}], {"a": "b"}, None])
def test_a_field_without_captions_is_refused(value: object) -> None:
    with pytest.raises(DataError, match=r"^The record 'r' has .* in its field sentences, which is no caption: write"):
        facts(references="sentences").applied(record("Describe", sentences=value))


def test_a_field_that_no_record_has_is_counted() -> None:
    given = facts(task_field="knd", question_type_field="category", references="sentences")
    row = record("Is it?", image="FLOOD/2.jpg")
    row["conversations"][0]["category"] = "own"
    for each in (row, record("Is it?"), record("Is it?", image="LR/1.tif")):
        given.applied(each)
    unused = "record of FLOOD, of which none has the field {} that data.custom_sources names as its {}"
    assert given.noticed == {unused.format("knd", "task_field"): 2, unused.format("sentences", "references"): 2}
