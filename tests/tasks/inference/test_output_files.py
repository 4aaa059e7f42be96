import pytest

from tasks.errors import RsvlmError
from tasks.inference.dialogues import plan_questions
from tasks.inference.output_files import cut_subsets, join_answers
from tasks.records import Answer


def answers_to(keys):
    return [Answer(key=key, text=f"answer {key}", tokens=2) for key in keys]


@pytest.fixture
def plan(records):
    return plan_questions(records, "first")


def test_an_answer_follows_its_question(records, plan):
    joined = join_answers(plan.dialogues, answers_to(plan.keys)[::-1])
    turns = joined[1]["conversations"]
    assert [turn["value"] for turn in turns[1::2]] == ["answer 1:0", "answer 1:1", "answer 1:2"]
    assert turns[::2] == records[1]["conversations"][::2]


def test_joining_does_not_change_the_test_set(records, plan):
    before = repr(records)
    join_answers(plan.dialogues, answers_to(plan.keys))
    assert repr(records) == before


@pytest.mark.parametrize("change", [lambda k: k[1:], lambda k: [*k, k[0]], lambda k: [*k, "9:0"]])
def test_a_turn_without_exactly_one_answer_is_an_error(records, plan, change):
    with pytest.raises(RsvlmError, match="1 turns are not answered exactly once"):
        join_answers(plan.dialogues, answers_to(change(plan.keys)))


def test_records_with_the_same_id_keep_their_answers(records, plan):
    twins = [records[2], {**records[2]}]
    joined = join_answers(plan_questions(twins, "first").dialogues, answers_to(["0:0", "1:0"]))
    assert [record["conversations"][1]["value"] for record in joined] == ["answer 0:0", "answer 1:0"]


def test_subsets_are_numbered_from_1_and_hold_all_records():
    assert list(cut_subsets([1, 2, 3], 2)) == [("filter_001", [1, 2]), ("filter_002", [3])]
