"""Which questions the page suggests."""

import json

import pytest

from tasks.serving.suggestions import CAPTION, QUESTIONS, frequent_questions, suggest_questions


def record(image, *turns):
    values = [text for turn in turns for text in turn]
    roles = ["human", "gpt"] * len(turns)
    said = [{"from": role, "value": value} for role, value in zip(roles, values, strict=True)]
    return {"id": image, "image": image, "conversations": said}


ROAD, SHIP = ("<image>\nIs there a road?", "yes"), ("Is there a ship?", "no")
COUNT, CAPTIONED = ("How many ships are there?", "3"), ("<image>\nDescribe the image.", "a harbor")


@pytest.fixture
def run(tmp_path):
    """A run with answers to its test set."""
    answers = tmp_path / "night" / "predictions" / "final" / "final.json"
    answers.parent.mkdir(parents=True)
    (tmp_path / "night" / "merged").mkdir()
    (tmp_path / "night" / "experiment.yaml").touch()
    records = [record("LR/Train/1.tif", ROAD, SHIP, COUNT), record("LR/Train/2.tif", ROAD)]
    answers.write_text(json.dumps([*records, record("RSICD/images/1.jpg", CAPTIONED)]))
    return tmp_path / "night"


def test_the_types_take_turns_and_the_most_frequent_question_of_each_comes_first(run):
    expected = ["Is there a road?", "How many ships are there?", "Describe the image.", "Is there a ship?"]
    assert suggest_questions(run / "merged", None) == expected


def test_an_adapters_run_is_asked_first(run, tmp_path):
    adapter = run / "training" / "final"
    adapter.mkdir(parents=True)
    assert suggest_questions(tmp_path, adapter)[0] == "Is there a road?"


def test_there_are_at_most_six_and_none_is_long(run):
    records = [record("LR/Train/1.tif", *((f"<image>Is there a road {n}?", "yes") for n in range(20)))]
    assert len(frequent_questions(records)) == 6
    assert frequent_questions([record("LR/Train/1.tif", ("Is there a road " + "or not " * 20 + "?", "yes"))]) == []


@pytest.mark.parametrize("content", ["[", "{}", '[{"id": 1}]'])
def test_damaged_answers_do_not_keep_a_model_from_being_served(run, content):
    (run / "predictions/final/final.json").write_text(content)
    assert suggest_questions(run / "merged", None) == [*CAPTION, *QUESTIONS]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["NWPU", "RSICD"], CAPTION),
        (["LR"], QUESTIONS),
        (["NWPU", "LR"], (*CAPTION, *QUESTIONS)),
        (["mine"], (*CAPTION, *QUESTIONS)),
        (None, (*CAPTION, *QUESTIONS)),
    ],
)
def test_without_a_run_the_sources_of_the_training_decide(tmp_path, sources, expected):
    (tmp_path / "origin.json").write_text(json.dumps({"settings": {"data": {"sources": sources}}}))
    assert suggest_questions(tmp_path / "model", tmp_path) == list(expected)
