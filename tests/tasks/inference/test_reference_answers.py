"""Answers of the LLaVA 1.5 reference, token for token, from the reference's own checkpoint."""

import json

import pytest
from support.locations import ORACLE

from tasks.inference.engines.decoding import Decoding
from tasks.inference.engines.transformers_engine import TransformersEngine
from tasks.model.loading import LoadedModel, load_model
from tasks.records import Question


@pytest.fixture(scope="module")
def reference_model() -> LoadedModel:
    if not ORACLE.is_dir():
        pytest.skip("golden values not present")
    return load_model(ORACLE / "models" / "tiny-llava-v1.5", dtype="float32")


@pytest.mark.parametrize("batch_size", [1, 3])
def test_answers_are_those_of_the_reference(reference_model, batch_size):
    cases = [case for case in json.loads((ORACLE / "generate.json").read_text()) if case["conv_mode"] == "vicuna_v1"]
    questions = [
        Question(
            key=f"{number}:0",
            record=number,
            turn=0,
            image=case["image"],
            turns=(("human", f"<image>\n{case['question']}"),),
        )
        for number, case in enumerate(cases)
    ]
    # the reference's ids begin with <s>, which is not generated
    decoding = Decoding(len(cases[0]["base"]["ids"]) - 1)
    engine = TransformersEngine(reference_model, ORACLE / "images" / "src", decoding, batch_size)
    answers = {answer.key: answer.text for batch in engine.answer(questions) for answer in batch}
    assert answers == {f"{number}:0": case["base"]["text_skip"].strip() for number, case in enumerate(cases)}
