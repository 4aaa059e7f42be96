import json

import pytest

from tasks.errors import DataError
from tasks.inference.dialogues import plan_questions, read_test_set, ready_questions


def visible(record, turn, history, answers=None, caption_turns="all"):
    (dialogue,) = plan_questions([record], caption_turns).dialogues
    questions = ready_questions(dialogue, history, answers or {}, ())
    return next(question.turns for question in questions if question.turn == turn)


def test_all_turns_of_a_vqa_record_are_asked(records):
    assert plan_questions([records[1]], "first").keys == ["0:0", "0:1", "0:2"]


def test_only_the_first_caption_prompt_of_a_record_is_asked(records):
    assert plan_questions([records[0]], "first").keys == ["0:0"]


def test_caption_turns_all_asks_all_caption_prompts(records):
    assert plan_questions([records[0]], "all").keys == ["0:0", "0:1"]


def test_a_first_turn_shows_the_image_once(records):
    expected = (("human", "<image>\nIs it a rural or an urban area"),)
    assert visible(records[1], 0, "independent") == expected


def test_a_later_turn_with_independent_history_shows_the_image_too(records):
    assert visible(records[1], 2, "independent") == (("human", "<image>\nWhat is the number of buildings?"),)


def test_reference_history_shows_the_reference_answers(records):
    assert visible(records[1], 2, "reference") == (
        ("human", "<image>\nIs it a rural or an urban area"),
        ("gpt", "rural"),
        ("human", "Is there a road?"),
        ("gpt", "yes"),
        ("human", "What is the number of buildings?"),
    )


def test_predicted_history_shows_the_models_answers(records):
    turns = visible(records[1], 1, "predicted", {"0:0": "urban, I think"})
    assert turns[1] == ("gpt", "urban, I think")


def test_predicted_history_waits_for_the_answer_before(records):
    (dialogue,) = plan_questions([records[1]], "first").dialogues
    assert [question.turn for question in ready_questions(dialogue, "predicted", {}, ())] == [0]
    assert ready_questions(dialogue, "predicted", {}, {"0:0"}) == []


def test_answered_questions_are_not_asked_again(records):
    (dialogue,) = plan_questions([records[1]], "first").dialogues
    assert [q.key for q in ready_questions(dialogue, "independent", {"0:1": "yes"}, ())] == ["0:0", "0:2"]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (None, "has no image"),
        ("", "has no image"),
        (7, "image 7"),
        (["a.png", "b.png"], "2 images"),
        (["a.png"], "single path"),
    ],
)
def test_a_record_without_one_image_is_refused_and_the_others_are_asked(records, image, reason):
    records[0]["image"] = image
    plan = plan_questions(records, "first")
    [refusal] = plan.refusals
    assert refusal.record == 0 and reason in refusal.reason and "`rsvlm data filter --sources all`" in refusal.reason
    assert {dialogue.record for dialogue in plan.dialogues} == {1, 2, 3}


def test_dropping_records_is_not_advised_if_none_would_be_left(records):
    records[0]["image"] = ["a.png", "b.png"]
    [refusal] = plan_questions(records[:1], "first").refusals
    assert "data filter" not in refusal.reason


def test_a_mixed_record_is_asked_its_first_caption_prompt_and_all_questions():
    prompts = ["How many ships?", "Describe the image.", "Summarize the image.", "Is there a pier?"]
    turns = [turn for text in prompts for turn in ({"from": "human", "value": text}, {"from": "gpt", "value": "x"})]
    record = {"id": "1", "image": "VRS/1.png", "conversations": turns}
    [dialogue] = plan_questions([record], "first").dialogues
    assert dialogue.asked == (0, 1, 3)
    assert plan_questions([record], "all").dialogues[0].asked == (0, 1, 2, 3)
    answers = {"0:0": "2", "0:1": "a harbor"}
    [question] = ready_questions(dialogue, "predicted", answers, ())
    assert [text for _, text in question.turns] == ["<image>\nHow many ships?", "2", prompts[1], "a harbor", prompts[3]]


def test_a_text_only_record_is_refused(records):
    del records[0]["image"]
    assert [refusal.record for refusal in plan_questions(records, "first").refusals] == [0]


def test_refusal_of_a_record_of_another_tool_advises_to_import_the_file(records):
    (refusal,) = plan_questions([*records, {"question_id": 1, "text": "Is there a road?"}], "first").refusals
    assert refusal.reason == (
        "it has no id, but 'question_id, text': import the file with `rsvlm data import`, or rewrite it with "
        "id, image and conversations in each record"
    )


def test_a_record_with_half_a_character_is_refused(records):
    records[1]["conversations"][0]["value"] += "\ud83d"
    (refusal,) = plan_questions(records, "first").refusals
    assert (refusal.record, "half a Unicode character" in refusal.reason) == (1, True)


@pytest.mark.parametrize("text", ["", "  \n", "<image>\n "])
def test_an_empty_question_is_refused_and_the_other_turns_are_asked(records, text):
    records[1]["conversations"][0]["value"] = text
    plan = plan_questions([records[1]], "first")
    assert [(refusal.record, refusal.turn) for refusal in plan.refusals] == [(0, 0)]
    assert plan.askable_keys == {"0:1", "0:2"}


@pytest.mark.parametrize(
    "turns",
    [
        None,
        [],
        "hello",
        [{"from": "gpt", "value": "a"}],
        [{"from": "human", "value": "a"}, {"from": "human", "value": "b"}],
        [{"from": "human", "value": 3}],
        ["hello"],
    ],
)
def test_invalid_conversations_are_refused(records, turns):
    records[1]["conversations"] = turns
    assert [refusal.record for refusal in plan_questions(records, "first").refusals] == [1]


def test_a_last_question_without_a_reference_answer_is_asked(records):
    records[1]["conversations"].pop()
    assert plan_questions([records[1]], "first").keys == ["0:0", "0:1", "0:2"]


@pytest.mark.parametrize("content", ["{}", "[1]", "[]", '[{"id": '])
def test_a_file_that_is_not_a_list_of_records_is_refused(tmp_path, content):
    path = tmp_path / "test.json"
    path.write_text(content)
    with pytest.raises(DataError):
        read_test_set(path)


def test_records_are_read_unchanged(tmp_path, records):
    path = tmp_path / "test.json"
    path.write_text(json.dumps(records))
    assert read_test_set(path) == records
