"""Pairing of test records with answers: which answers are accepted, which are rejected."""

import re
from typing import Any

import pytest

from tasks.errors import DataError
from tasks.evaluation.pairing import iterate_texts

QUESTION, ANSWER = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}
LR = [("Is there a road?", "yes"), ("How many roads are there?", "3"), ("Is there a road?", "yes")]


def test_answers_are_paired_with_their_questions(paired: Any, record: Any) -> None:
    test = [record("LR/Train/1.tif", LR)]
    answers = [record("LR/Train/1.tif", [(question, f"answer {n}") for n, (question, _) in enumerate(LR)])]
    [pair] = paired(test, answers)
    assert [(turn.reference, turn.answer) for turn in pair.turns] == [
        ("yes", "answer 0"),
        ("3", "answer 1"),
        ("yes", "answer 2"),
    ]
    assert (pair.source, {turn.task for turn in pair.turns}) == ("LR", {"vqa"})


def test_ids_may_occur_twice(paired: Any, record: Any) -> None:
    test = [record("LR/Train/1.tif", LR[:1], "x"), record("LR/Train/1.tif", LR[1:2], "x")]
    assert [pair.turns[0].answer for pair in paired(test, test)] == ["yes", "3"]


def test_caption_turns_that_were_not_asked_may_be_absent(paired: Any, captions_of: Any) -> None:
    [pair] = paired([captions_of("RSICD/images/a_1.jpg", ["one", "two"])], [captions_of("RSICD/images/a_1.jpg", ["x"])])
    assert [turn.answer for turn in pair.turns] == ["x", None]


def test_two_spellings_of_a_path_are_one_image(paired: Any, captions_of: Any) -> None:
    test = [captions_of("RSICD/images/./a_1.jpg", ["one"])]
    assert paired(test, test)[0].image == "RSICD/images/a_1.jpg"


def changed(rows: list[Any], **parts: Any) -> list[Any]:
    return [{**rows[0], **parts}, *rows[1:]]


@pytest.mark.parametrize(
    ("answers_from", "message"),
    [
        (lambda rows: rows[1:], "lack the record 'a'"),
        (lambda rows: [rows[0], rows[0], rows[1]], "the record 'a' (LR/Train/1.tif) 2 times"),
        (lambda rows: changed(rows, id="z"), "record 'z' (LR/Train/1.tif), which is not in the test set"),
        (lambda rows: changed(rows, image="LR/Train/9.tif"), "record 'a' (LR/Train/9.tif), which is not in"),
        (lambda rows: rows[::-1], "is not at its position"),
        (lambda rows: changed(rows, conversations=rows[0]["conversations"][:2]), "lacks an answer to question 2"),
        (lambda rows: changed(rows, conversations=rows[0]["conversations"][2:]), "lacks an answer to question 1"),
        (
            lambda rows: changed(rows, conversations=[*rows[0]["conversations"], *rows[1]["conversations"]]),
            "does not ask there",
        ),
    ],
    ids=[
        "missing",
        "duplicated",
        "unknown id",
        "other image",
        "other order",
        "last turn missing",
        "first turn missing",
        "unknown turn",
    ],
)
def test_answers_to_another_test_set_are_rejected(paired: Any, record: Any, answers_from: Any, message: str) -> None:
    test = [record("LR/Train/1.tif", LR, "a"), record("LR/Train/2.tif", [("Is there a ship?", "no")], "b")]
    with pytest.raises(DataError, match=re.escape(message)):
        paired(test, answers_from(test))


def test_a_caption_record_without_its_first_answer_is_rejected(paired: Any, record: Any) -> None:
    image = "RSICD/images/a_1.jpg"
    test = [record(image, [("Provide a description", "x"), ("What is the topic of this image?", "y")])]
    answers = [{**test[0], "conversations": test[0]["conversations"][2:]}]
    with pytest.raises(DataError, match="lacks an answer to question 1"):
        paired(test, answers)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": 1}, "has no list of records"),
        ([], "has no records:"),
        (["x"], "record 1 is not an object"),
        ([{"id": None, "image": "a", "conversations": []}], "record 1 has no id; fix"),
        ([{"id": True, "image": "a", "conversations": []}], r"record 1 \(id True\) has an id"),
        ([{"id": "x", "image": 3, "conversations": [QUESTION, ANSWER]}], "has the image 3"),
        ([{"id": "x", "image": "a", "conversations": [QUESTION]}], "has a last question without an answer"),
        ([{"id": "x", "image": "a", "conversations": [ANSWER, QUESTION]}], "do not alternate"),
        (
            [{"id": "x", "image": "a", "conversations": [QUESTION, {"from": "gpt", "value": 8}]}],
            "has a turn that is not",
        ),
        (
            [{"id": "x", "image": "a", "conversations": [QUESTION, {"from": "gpt", "value": "\ud83d"}]}],
            "half a Unicode character",
        ),
    ],
)
def test_invalid_records_are_rejected(write: Any, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(iterate_texts(write("final.json", value)))


def test_a_lone_surrogate_is_rejected_in_any_field(write: Any, record: Any) -> None:
    good = record("LR/Train/1.tif", LR)
    for bad in ({**good, "id": "\ud83d"}, {**good, "image": "\udc00.tif"}, {**good, "note": {"by": ["\ud83d"]}}):
        with pytest.raises(DataError, match="record 2 holds half a Unicode character"):
            list(iterate_texts(write("final.json", [good, bad])))
    assert len(list(iterate_texts(write("final.json", [{**good, "id": "\U0001f6eb"}])))) == 1


def test_ids_of_other_types_do_not_match(paired: Any, record: Any) -> None:
    test = [{**record("LR/Train/1.tif", LR), "id": 1}]
    answers = [{**test[0], "id": "1"}]
    with pytest.raises(DataError, match="which is not in the test set"):
        paired(test, answers)
