"""Scores of answers to questions and their controls, on cases that can be counted by hand."""

import random
from typing import Any

import pytest

from tasks.evaluation.controls.training_set import AnswerCounts
from tasks.evaluation.controls.vqa_controls import vqa_controls
from tasks.evaluation.scoring import score_questions

ROAD, COUNT, URBAN = "Is there a road?", "How many roads are there?", "Is it a rural or an urban area"


def test_accuracy_overall_and_by_type(asked: Any) -> None:
    scores = score_questions(
        asked(
            {
                "1": [(ROAD, "yes", "Yes."), (COUNT, "3", "three"), (ROAD, "no", "No")],
                "2": [(ROAD, "no", "yes"), (URBAN, "rural", "x")],
            }
        )
    )
    assert (scores["images"], scores["questions"], scores["accuracy"]) == (2, 5, 0.6)
    assert scores["by_type"]["presence"].items() >= {"questions": 3, "accuracy": 2 / 3}.items()
    assert scores["by_type"]["rural_urban"].items() >= {"questions": 1, "accuracy": 0}.items()
    assert scores["average_accuracy"] == pytest.approx((2 / 3 + 0 + 1) / 3)
    low, high = scores["ci95"]["accuracy"]
    assert 0 < low < 0.1 and 0.95 < high < 1


def test_counts_exact_binned_and_absolute(asked: Any) -> None:
    truths_and_answers = [("0", "0"), ("12", "20"), ("150", "90"), ("5", "many"), ("2000", "1001")]
    turns = [(COUNT, truth, answer) for truth, answer in truths_and_answers]
    scores = score_questions(asked({"1": turns}))["by_type"]["count"]
    assert {name: scores[name] for name in scores if name not in ("ci95", "no_answer", "confusion")} == {
        "questions": 5,
        "accuracy": 1 / 5,
        "accuracy_binned": 3 / 5,
        "accuracy_lenient": 1 / 5,
        "mean_absolute_error": (0 + 8 + 60 + 999) / 4,
        "median_absolute_error": (8 + 60) / 2,
        "no_number": 1,
    }


def test_without_a_number_there_is_no_mean_absolute_error(asked: Any) -> None:
    scores = score_questions(asked({"1": [(COUNT, "5", "")]}))["by_type"]["count"]
    assert (scores["mean_absolute_error"], scores["no_number"], scores["accuracy_binned"]) == (None, 1, 0)
    assert scores["median_absolute_error"] is None


def test_scores_do_not_depend_on_the_order_of_records(asked: Any) -> None:
    draw = random.Random(1)
    images = {
        str(i): [(ROAD, "yes", draw.choice(["yes", "no"])), (COUNT, "3", str(draw.randint(2, 4)))] for i in range(20)
    }
    backwards = dict(reversed(images.items()))
    one, other = asked(images), asked(backwards)
    assert score_questions(one) == score_questions(other)
    assert vqa_controls(one, None, 7).scores == vqa_controls(other, None, 7).scores


TRAINING = AnswerCounts()
TRAINING.add("is there road", "presence", "no")
TRAINING.add("is there ship", "presence", "yes")
TRAINING.add("is there tree", "presence", "yes")
TRAINING.add("how many roads are there", "count", "3")


def test_majority_is_the_most_frequent_training_answer_of_the_type(asked: Any) -> None:
    questions = asked({"1": [(ROAD, "yes", ""), (COUNT, "3", ""), (COUNT, "4", ""), (URBAN, "yes", "")]})
    # presence: yes, count: 3, and for a type that training lacks the most frequent of all, yes
    assert vqa_controls(questions, TRAINING, 1).scores["majority"] == 3 / 4


def test_question_only_is_the_most_frequent_answer_to_the_same_question_else_the_majority(asked: Any) -> None:
    questions = asked({"1": [("<image> is there ROAD", "no", ""), ("Is there a farm?", "yes", "")]})
    assert vqa_controls(questions, TRAINING, 1).scores["question_only"] == 1


def test_shuffled_images_uses_the_answer_to_the_same_question_about_another_image(asked: Any) -> None:
    questions = asked({"1": [(ROAD, "yes", "yes")], "2": [(ROAD, "no", "no")], "3": [(COUNT, "3", "3")]})
    controls = vqa_controls(questions, None, 1).scores
    assert (controls["shuffled_images"], controls["shuffled_images_questions"]) == (0, 2)
    assert controls["own_image_same_questions"] == 1


def test_controls_are_null_without_other_images_or_training(asked: Any) -> None:
    assert vqa_controls(asked({"1": [(ROAD, "yes", "yes"), (ROAD, "yes", "no")]}), None, 1).scores == {
        "majority": None,
        "question_only": None,
        "shuffled_images": None,
        "shuffled_images_questions": 0,
        "own_image_same_questions": None,
    }
