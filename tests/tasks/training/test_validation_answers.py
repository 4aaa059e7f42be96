"""Validation answers its questions like the engine, and scores the answers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from tasks.errors import ConfigError
from tasks.inference.engines.decoding import Decoding
from tasks.inference.engines.transformers_engine import TransformersEngine
from tasks.model.loading import LoadedModel, load_model
from tasks.records import Question
from tasks.training.validation_answers import (
    MAX_NEW_TOKENS,
    AnswerScores,
    ValidationQuestion,
    choose_questions,
    image_captions,
    require_scored,
)


def record(image: str | None, *turns: str) -> dict[str, Any]:
    roles = ("human", "gpt") * (len(turns) // 2)
    return {
        "id": "1",
        "image": image,
        "conversations": [{"from": r, "value": t} for r, t in zip(roles, turns, strict=True)],
    }


CAPTIONS = [record(f"NWPU/{n}.png", "<image>\nDescribe it.", f"a road {n}", "Again?", f"street {n}") for n in range(9)]
QUESTIONS = [record(f"LR/{n}.png", f"<image>\nFirst {n}?", "yes", "Second?", "no") for n in range(9)]
RECORDS = [*CAPTIONS, record("NWPU/0.png", "Caption?", "a third"), *QUESTIONS, record(None, "Who?", "nobody")]


def test_same_number_of_captions_and_questions_is_chosen_deterministically() -> None:
    asked = choose_questions(RECORDS, 4, seed=1)
    assert [one.task for one in asked] == ["captioning"] * 4 + ["vqa"] * 4
    assert asked == choose_questions(RECORDS, 4, seed=1) != choose_questions(RECORDS, 4, seed=2)


def test_all_questions_are_chosen_if_there_are_too_few() -> None:
    asked = choose_questions(RECORDS, 99, seed=1)
    assert len(asked) == 19
    assert {one.question for one in asked if one.task == "vqa"} > {"Second?"}


def test_caption_references_are_all_captions_of_its_image() -> None:
    asked = {one.image: one for one in choose_questions(RECORDS, 99, seed=1) if one.question.startswith("<image>\nDes")}
    assert asked["NWPU/0.png"].references == ("a road 0", "street 0", "a third")
    assert asked["NWPU/1.png"].references == ("a road 1", "street 1")


def scores_of(asked: list[ValidationQuestion], answers: list[str]) -> dict[str, float]:
    return AnswerScores(asked, image_captions(RECORDS), Path(), SimpleNamespace()).scores(answers)


def test_correct_answers_score_best() -> None:
    asked = choose_questions(RECORDS, 5, seed=1)
    true = scores_of(asked, [one.references[0] for one in asked])
    assert true["accuracy"] == 1
    assert true["cider"] > 3
    assert scores_of(asked, ["boats"] * 10) == {"accuracy": 0, "cider": 0}


def test_answers_are_compared_as_in_the_report() -> None:
    texts = (("How many?", "2"), ("Is it?", "yes"))
    questions = [ValidationQuestion("a.png", question, (answer,), "vqa") for question, answer in texts]
    assert scores_of(questions, ["Two.", "No"]) == {"accuracy": 0.5}
    caption = ValidationQuestion("a.png", "?", ("Two planes.", "x"), "captioning")
    assert scores_of([caption], ["two planes"])["cider"] > 0


def test_questions_are_scored_without_captions() -> None:
    asked = choose_questions(QUESTIONS, 3, seed=1)
    scorer = AnswerScores(asked, image_captions(QUESTIONS), Path(), SimpleNamespace())
    assert scorer.scores([one.references[0] for one in asked]) == {"accuracy": 1}


@pytest.mark.parametrize("empty", ["", " ", "..."])
def test_empty_answer_is_neither_asked_for_nor_a_reference(empty: str) -> None:
    records = [*CAPTIONS[1:3], record("NWPU/0.png", "Describe it.", empty, "Caption?", "a road")]
    records += [record("LR/0.png", "First?", empty), record("LR/1.png", "First?", empty, "Second?", "no")]
    asked = choose_questions(records, 99, seed=1)
    assert {one.question for one in asked if one.task == "vqa"} == {"Second?"}
    assert image_captions(records)["NWPU/0.png"] == ["a road"]


def test_captions_of_a_single_image_are_not_asked_for() -> None:
    asked = choose_questions([*CAPTIONS[:1], *QUESTIONS], 99, seed=1)
    assert {one.task for one in asked} == {"vqa"}
    with pytest.raises(ConfigError, match="The validation set has no questions for the metric cider"):
        require_scored(asked, "cider")
    asked = choose_questions(CAPTIONS[:1], 99, seed=1)
    with pytest.raises(
        ConfigError, match=r"captions of a single image have no CIDEr, .*: set training\.eval_answers=0"
    ):
        require_scored(asked, "loss")


def test_boxes_are_not_asked_for() -> None:
    boxes = record("LR/boxes.png", "<image>\nWhere is the road?", "{<10><20><30><40>}", "Describe it.", "[1, 2, 3, 4]")
    assert choose_questions([boxes], 99, seed=1) == []
    assert {one.image for one in choose_questions([boxes, *QUESTIONS], 99, seed=1)} == {
        each["image"] for each in QUESTIONS
    }
    with pytest.raises(ConfigError, match=r"boxes are left out\): set training\.eval_answers=0"):
        require_scored([], "loss")


@pytest.fixture(scope="module")
def loaded(tiny_model_dir: Path) -> LoadedModel:
    loaded = load_model(tiny_model_dir, dtype="float32")
    with torch.no_grad():
        # with such small random weights, every image gets the same answer
        for name, value in loaded.model.named_parameters():
            value *= 4 if "norm" not in name and "vision_tower" not in name else 1
    return loaded


@pytest.mark.parametrize("batch_size", [2, 16])
def test_answers_equal_those_of_the_engine(loaded: LoadedModel, tmp_path: Path, batch_size: int) -> None:
    asked = choose_questions(RECORDS, 4, seed=3)
    for number, one in enumerate(asked):
        (tmp_path / one.image).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), (number * 30, 90, 200)).save(tmp_path / one.image)
    questions = [
        Question(key=str(n), record=n, turn=0, image=one.image, turns=(("human", shown(one.question)),))
        for n, one in enumerate(asked)
    ]
    engine = TransformersEngine(loaded, tmp_path, Decoding(MAX_NEW_TOKENS), 8)
    expected = {int(answer.key): answer.text for batch in engine.answer(questions) for answer in batch}
    scores = AnswerScores(asked, image_captions(RECORDS), tmp_path, loaded.processor)
    with torch.no_grad():
        found = list(scores._answer(loaded.model, range(len(asked)), batch_size))
    assert found == [expected[number] for number in range(len(asked))]
    assert len(set(found)) > 1


def shown(question: str) -> str:
    return question if question.startswith("<image>") else f"<image>\n{question}"
