"""Models that cannot share a prefix are run in padded batches, with the same answers."""

import pytest

from tasks.inference.engines.batched_engine import BatchedEngine
from tasks.inference.engines.decoding import Decoding
from tasks.inference.engines.transformers_engine import prepare
from tasks.model.llava.family import LlavaFamily


@pytest.fixture
def batched(lively_model, records_and_images):
    def build(batch_size: int, **decoding) -> BatchedEngine:
        return BatchedEngine(lively_model, records_and_images[1], Decoding(6, **decoding), batch_size)

    return build


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_its_answers_are_those_of_the_shared_prefix(batched, engine_of, drawn_questions, texts_of, batch_size):
    assert texts_of(batched(batch_size), drawn_questions) == texts_of(engine_of(8), drawn_questions)


def test_it_samples_as_the_other_engine_does(batched, engine_of, drawn_questions, texts_of):
    expected = texts_of(engine_of(8, temperature=1.0, seed=3), drawn_questions)
    assert texts_of(batched(7, temperature=1.0, seed=3), drawn_questions) == expected


def test_probabilities_are_those_of_the_other_engine(batched, engine_of, drawn_questions):
    found, expected = (
        {answer.key: answer for batch in engine.answer(drawn_questions) for answer in batch}
        for engine in (batched(5), engine_of(5))
    )
    for key, answer in expected.items():
        assert found[key].tokens == answer.tokens
        assert found[key].mean_log_probability == pytest.approx(answer.mean_log_probability, abs=1.1e-3)


def test_one_question_alone_has_the_same_answer(batched, drawn_questions, texts_of):
    engine = batched(9)
    together = texts_of(engine, drawn_questions[:9])
    assert {each.key: engine.answer_alone(each).text for each in drawn_questions[:9]} == together


def test_the_family_decides_and_the_fingerprint_names_the_engine(request_for, records, tiny_model_dir, monkeypatch):
    monkeypatch.setattr(LlavaFamily, "shares_prefix", lambda self, config: False)
    prepared = prepare(request_for(records, model=tiny_model_dir, config={"engine": "transformers"}))
    assert (prepared.fingerprint, prepared.exact) == ("transformers batched float32 cpu", False)
    assert isinstance(prepared.load(), BatchedEngine)
