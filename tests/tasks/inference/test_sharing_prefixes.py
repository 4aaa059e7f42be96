"""Answers do not depend on what shares an image, a batch or the memory with them."""

import os
import random
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from tasks.errors import ModelError
from tasks.inference.engines.base import by_image, plan_batches
from tasks.inference.engines.batch_memory import Room, is_shortage
from tasks.inference.engines.decoding import Decoding
from tasks.inference.engines.prefix_attention import NAME, Prefix
from tasks.inference.engines.transformers_engine import TransformersEngine
from tasks.records import Question

WORDS = ("road", "buildings", "ships", "an airport with two planes", "beach", "area", "blue sea beside white sand")
TOKENS = 6


@pytest.fixture(scope="module")
def drawn_questions(records_and_images):
    """Questions about four images, 23, 7, 1 and 1 of them, of very different lengths."""
    records, _ = records_and_images
    rng = random.Random(28)
    return [
        Question(
            key=f"{number}:{turn}",
            record=number,
            turn=turn,
            image=record["image"],
            turns=(("human", "<image>\n" + " and ".join(rng.choices(WORDS, k=rng.randint(1, 9))) + "?"),),
        )
        for (number, record), count in zip(enumerate(records), (23, 7, 1, 1), strict=True)
        for turn in range(count)
    ]


@pytest.fixture(scope="module")
def engine_of(lively_model, records_and_images):
    def build(batch_size=None, workers=1, **decoding):
        images = records_and_images[1]
        return TransformersEngine(lively_model, images, Decoding(TOKENS, **decoding), batch_size, workers)

    return build


def texts_of(engine, questions):
    return {outcome.key: outcome.text for batch in engine.answer(questions) for outcome in batch}


@pytest.fixture(scope="module")
def alone(engine_of, drawn_questions):
    """The answers to one prompt at a time, nothing shared."""
    return {question.key: engine_of().answer_alone(question).text for question in drawn_questions}


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8, 23, 64])
def test_a_shared_image_changes_no_answer(engine_of, drawn_questions, alone, batch_size):
    assert len(set(alone.values())) > 5
    assert texts_of(engine_of(batch_size), drawn_questions) == alone


@pytest.mark.parametrize("seed", range(4))
def test_no_grouping_changes_an_answer(engine_of, drawn_questions, alone, seed):
    rng = random.Random(seed)
    shuffled = rng.sample(drawn_questions, len(drawn_questions))
    cut = rng.randint(1, len(shuffled) - 1)
    engine = engine_of(rng.randint(2, 9), workers=rng.randint(1, 4))
    assert {**texts_of(engine, shuffled[:cut]), **texts_of(engine, shuffled[cut:])} == alone


def test_rows_that_stop_early_leave_the_others_as_they_are(engine_of, drawn_questions, alone):
    engines = [engine_of(size) for size in (1, 64)]
    for engine in engines:
        # every third token ends an answer: rows leave at every step
        engine._stops = list(range(0, 406, 3))
    answers = [{o.key: o for batch in engine.answer(drawn_questions) for o in batch} for engine in engines]
    assert answers[0] == answers[1]
    assert {answer.tokens for answer in answers[0].values()} > {0, 1, 2}


def test_drawn_answers_belong_to_seed_and_question_alone(engine_of, drawn_questions):
    drawn = texts_of(engine_of(1, temperature=1.0, seed=3), drawn_questions)
    assert texts_of(engine_of(9, temperature=1.0, seed=3), drawn_questions[::-1]) == drawn
    assert {q.key: engine_of(temperature=1.0, seed=3).answer_alone(q).text for q in drawn_questions[-3:]} == {
        q.key: drawn[q.key] for q in drawn_questions[-3:]
    }
    assert texts_of(engine_of(9, temperature=1.0, seed=4), drawn_questions) != drawn


def test_the_same_question_twice_is_drawn_twice(engine_of, drawn_questions):
    twins = [drawn_questions[0].model_copy(update={"key": f"7:{number}"}) for number in range(6)]
    assert len(set(texts_of(engine_of(temperature=3.0), twins).values())) > 1


def test_drawing_from_the_likeliest_alone_is_greedy(engine_of, drawn_questions, alone):
    assert texts_of(engine_of(8, temperature=1.0, top_p=1e-6), drawn_questions) == alone


def test_a_batch_that_does_not_fit_is_halved_and_its_answers_stay(engine_of, drawn_questions, alone):
    class Limited(TransformersEngine):
        """A model that holds six questions at most."""

        def _compute(self, batch):
            if sum(map(len, batch)) > 6:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return super()._compute(batch)

    engine = engine_of(64)
    limited = Limited(engine._loaded, drawn_images(engine), Decoding(TOKENS), 64)
    assert texts_of(limited, drawn_questions) == alone
    assert limited.batch_size == 6


def drawn_images(engine):
    """The folder that an engine reads from, out of its closure."""
    return next(
        cell.cell_contents for cell in engine._feed._read.__closure__ if hasattr(cell.cell_contents, "joinpath")
    )


def test_one_question_that_does_not_fit_is_said(engine_of, drawn_questions):
    class Full(TransformersEngine):
        def _compute(self, batch):
            raise torch.OutOfMemoryError("CUDA out of memory.")

    engine = engine_of(4)
    with pytest.raises(ModelError, match="Not even one question"):
        texts_of(Full(engine._loaded, drawn_images(engine), Decoding(TOKENS), 4), drawn_questions)


def test_a_process_that_really_runs_out_of_memory_goes_on_with_smaller_batches(tiny_model_dir, records_and_images):
    program = (
        "import json, resource, sys\n"
        "from pathlib import Path\n"
        "import torch\n"
        "torch.set_num_threads(1)\n"
        "from tasks.inference.engines.decoding import Decoding\n"
        "from tasks.inference.engines.transformers_engine import TransformersEngine\n"
        "from tasks.model.loading import load_model\n"
        "from tasks.records import Question\n"
        "engine = TransformersEngine(load_model(Path(sys.argv[1])), Path(sys.argv[2]), Decoding(2), 4096, 1)\n"
        "ask = lambda n: [Question(key=str(i), record=0, turn=i, image=sys.argv[3],"
        " turns=(('human', '<image>\\n' + 'road ' * 60),)) for i in range(n)]\n"
        "texts = lambda n: [o.text for b in engine.answer(ask(n)) for o in b]\n"
        "texts(2)\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000, -1))\n"
        "found = texts(96)\n"
        "print(json.dumps([len(found), engine.batch_size]))\n"
    )
    records, images = records_and_images
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(tiny_model_dir), str(images), records[0]["image"]],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
    answered, batch_size = eval(child.stdout.split("\n")[-2])
    assert answered == 96 and batch_size < 96


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_only_a_shortage_of_memory_counts_as_one(error, short):
    assert is_shortage(error) is short


def test_batches_hold_whole_images_or_even_parts_of_one(drawn_questions):
    batches = list(plan_batches(by_image(drawn_questions), Room(8).holds))
    sizes = [[len(group) for group in batch] for batch in batches]
    assert sizes == [[8], [8], [7], [7, 1], [1]]
    assert sorted(q.key for b in batches for g in b for q in g) == sorted(q.key for q in drawn_questions)


def test_room_counts_images_as_well_as_questions():
    room = Room(100, size_bytes=1000, image_bytes=300, question_bytes=10)
    assert room.holds(3, 10) and not room.holds(3, 11) and not room.holds(4, 1 + 1)
    assert Room(1, size_bytes=0, image_bytes=5).holds(1, 1)


def test_rows_go_to_the_grid_and_back():
    prefix = Prefix([torch.zeros(3, 2, 5, 4)], [torch.zeros(3, 2, 5, 4)]).for_rows([0, 2, 0, 1, 0])
    rows = torch.randn(5, 2, 3, 4, generator=torch.Generator().manual_seed(28))
    assert prefix.width == 3
    assert torch.equal(prefix.to_rows(prefix.to_grid(rows), 3), rows)


def test_keys_that_heads_share_are_attended_to_alike(lively_model, records_and_images, drawn_questions, tmp_path):
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
    engine = TransformersEngine(replace(lively_model, model=model), records_and_images[1], Decoding(TOKENS), 8)
    assert model.model.language_model.config._attn_implementation == NAME
    expected = {question.key: engine.answer_alone(question).text for question in drawn_questions[::3]}
    assert texts_of(engine, drawn_questions[::3]) == expected
