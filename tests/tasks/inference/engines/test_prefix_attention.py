"""Answers do not depend on which questions share an image or a batch with them."""

import random
from dataclasses import replace

import pytest
import torch

from tasks.inference.engines.decoding import Decoding
from tasks.inference.engines.prefix_attention import NAME, Prefix
from tasks.inference.engines.transformers_engine import TransformersEngine


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8, 23, 64])
def test_sharing_an_image_changes_no_answer(engine_of, drawn_questions, answered_alone, texts_of, batch_size):
    assert len(set(answered_alone.values())) > 5
    assert texts_of(engine_of(batch_size), drawn_questions) == answered_alone


@pytest.mark.parametrize("seed", range(4))
def test_grouping_changes_no_answer(engine_of, drawn_questions, answered_alone, texts_of, seed):
    rng = random.Random(seed)
    shuffled = rng.sample(drawn_questions, len(drawn_questions))
    cut = rng.randint(1, len(shuffled) - 1)
    engine = engine_of(rng.randint(2, 9), workers=rng.randint(1, 4))
    assert {**texts_of(engine, shuffled[:cut]), **texts_of(engine, shuffled[cut:])} == answered_alone


def test_rows_that_stop_early_change_no_other_answer(engine_of, drawn_questions):
    engines = [engine_of(size) for size in (1, 64)]
    for engine in engines:
        # every third token ends an answer: rows leave at every step
        engine._stops = list(range(0, 406, 3))
    # without their probabilities, whose last digit may depend on the batch
    answers = [
        {o.key: (o.text, o.tokens) for batch in engine.answer(drawn_questions) for o in batch} for engine in engines
    ]
    assert answers[0] == answers[1]
    assert {tokens for _, tokens in answers[0].values()} > {0, 1, 2}


def test_sampled_answers_depend_on_seed_and_question_only(engine_of, drawn_questions, texts_of):
    sampled = texts_of(engine_of(1, temperature=1.0, seed=3), drawn_questions)
    assert texts_of(engine_of(9, temperature=1.0, seed=3), drawn_questions[::-1]) == sampled
    assert {q.key: engine_of(temperature=1.0, seed=3).answer_alone(q).text for q in drawn_questions[-3:]} == {
        q.key: sampled[q.key] for q in drawn_questions[-3:]
    }
    assert texts_of(engine_of(9, temperature=1.0, seed=4), drawn_questions) != sampled


def test_the_same_question_under_two_keys_is_sampled_twice(engine_of, drawn_questions, texts_of):
    twins = [drawn_questions[0].model_copy(update={"key": f"7:{number}"}) for number in range(6)]
    assert len(set(texts_of(engine_of(temperature=3.0), twins).values())) > 1


def test_a_tiny_top_p_is_greedy_decoding(engine_of, drawn_questions, answered_alone, texts_of):
    assert texts_of(engine_of(8, temperature=1.0, top_p=1e-6), drawn_questions) == answered_alone


def test_to_rows_is_the_inverse_of_to_grid():
    keys, starts = torch.zeros(3, 2, 5, 4), torch.tensor([5, 6, 7])
    prefix = Prefix([keys], [keys], starts, starts).for_rows([0, 2, 0, 1, 0])
    assert prefix.row_starts.tolist() == [5, 7, 5, 6, 5]
    rows = torch.randn(5, 2, 3, 4, generator=torch.Generator().manual_seed(28))
    assert prefix.width == 3
    assert torch.equal(prefix.to_rows(prefix.to_grid(rows), 3), rows)


def test_grouped_query_attention_gives_the_answers_of_one_prompt_at_a_time(
    lively_model, records_and_images, drawn_questions, texts_of
):
    from transformers import LlavaForConditionalGeneration

    config = lively_model.model.config.__class__.from_dict(lively_model.model.config.to_dict())
    config.text_config.num_key_value_heads = 2
    with torch.random.fork_rng():
        torch.manual_seed(28)
        model = LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.mul_(10)
    model.generation_config = lively_model.model.generation_config
    engine = TransformersEngine(replace(lively_model, model=model), records_and_images[1], Decoding(6), 8)
    assert model.model.language_model.config._attn_implementation == NAME
    expected = {question.key: engine.answer_alone(question).text for question in drawn_questions[::3]}
    assert texts_of(engine, drawn_questions[::3]) == expected
