"""Models that cannot share a prefix are run in padded batches, with the same answers."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from tasks.errors import ModelError
from tasks.files import read_json
from tasks.inference.engines.base import Refusal
from tasks.inference.engines.batched_engine import BatchedEngine
from tasks.inference.engines.decoding import Decoding
from tasks.inference.engines.transformers_engine import NOT_SHARED, TransformersEngine, prepare
from tasks.inference.predict import Listener, predict
from tasks.manifests import folder_digest
from tasks.model.llava.family import LlavaFamily


@pytest.fixture
def batched(lively_model, records_and_images):
    # a copy: the engine changes the generation settings of its model
    loaded = replace(lively_model, model=deepcopy(lively_model.model))

    def build(batch_size: int | None, kind: type[BatchedEngine] = BatchedEngine, **decoding) -> BatchedEngine:
        return kind(loaded, records_and_images[1], Decoding(6, **decoding), batch_size)

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


def test_an_answer_ends_at_the_stop_token(batched, engine_of, drawn_questions):
    engines = batched(5), engine_of(5)
    for engine in engines:
        # every third token ends an answer: rows end at every step
        engine._stops = list(range(0, 406, 3))
    found, expected = (
        {answer.key: (answer.text, answer.tokens) for batch in engine.answer(drawn_questions) for answer in batch}
        for engine in engines
    )
    assert found == expected and {tokens for _, tokens in found.values()} > {0, 1, 2}


def test_settings_published_with_a_model_change_no_answer(
    lively_model, records_and_images, engine_of, drawn_questions, texts_of
):
    model = deepcopy(lively_model.model)
    model.generation_config.update(repetition_penalty=5.0, no_repeat_ngram_size=1, do_sample=True, temperature=2.0)
    engine = BatchedEngine(replace(lively_model, model=model), records_and_images[1], Decoding(6), 4)
    assert texts_of(engine, drawn_questions) == texts_of(engine_of(8), drawn_questions)


# PEFT asks transformers for a deprecated name
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_a_model_with_an_adapter_gives_the_answers_of_the_other_engine(
    lively_model, records_and_images, drawn_questions, texts_of
):
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    with torch.random.fork_rng():
        torch.manual_seed(28)
        tuned = replace(lively_model, model=get_peft_model(deepcopy(lively_model.model), config).eval())
    tuned.model.get_base_model().generation_config.update(repetition_penalty=5.0)
    expected, found = (
        texts_of(kind(tuned, records_and_images[1], Decoding(6), 8), drawn_questions[::2])
        for kind in (TransformersEngine, BatchedEngine)
    )
    assert found == expected


def test_memory_is_planned_for_the_image_of_each_question(batched, engine_of):
    ours, shared = batched(None)._limit, engine_of()._limit
    assert ours.image_bytes == 0
    assert ours.question_bytes == shared.question_bytes + shared.image_bytes


def test_batches_are_halved_until_they_fit(batched, drawn_questions, texts_of):
    class Small(BatchedEngine):
        def generate(self, asked):
            if len(asked) > 3:
                raise MemoryError
            return super().generate(asked)

    engine = batched(16, Small)
    assert texts_of(engine, drawn_questions) == texts_of(batched(3), drawn_questions)
    assert engine.batch_size <= 3


def test_a_question_that_does_not_fit_alone_is_an_error(batched, drawn_questions):
    class Full(BatchedEngine):
        def generate(self, asked):
            raise MemoryError

    with pytest.raises(ModelError, match="Not even one question at a time fits into memory"):
        list(batched(4, Full).answer(drawn_questions[:4]))


def test_a_question_without_its_image_is_refused_alone(batched, drawn_questions):
    missing = drawn_questions[0].model_copy(update={"key": "9:0", "record": 9, "image": "missing.png"})
    outcomes = [outcome for batch in batched(4).answer([missing, *drawn_questions[:3]]) for outcome in batch]
    assert [outcome.record for outcome in outcomes if isinstance(outcome, Refusal)] == [9] and len(outcomes) == 4


def test_a_run_says_which_engine_answers_and_asks_a_sample_again(request_for, records, tiny_model_dir, monkeypatch):
    monkeypatch.setattr(LlavaFamily, "shares_prefix", lambda self, config: False)
    request = request_for(
        records,
        model=tiny_model_dir,
        model_sha256=folder_digest(tiny_model_dir),
        config={"max_new_tokens": 4, "engine": "transformers"},
    )
    lines: list[str] = []
    folder = predict(request, Listener(log=lines.append)).path
    details = read_json(folder / "MANIFEST.json")["details"]
    assert details["engine"] == "transformers batched float32 cpu"
    assert details["asked_alone"] == details["equal_when_alone"] == 7
    assert NOT_SHARED in lines
