"""Batches fit into memory: they are planned by a limit, and halved when memory runs out."""

import os
import subprocess
import sys

import pytest
import torch

from tasks.errors import ModelError
from tasks.inference.engines.base import group_by_image, plan_batches
from tasks.inference.engines.batch_memory import BatchLimit, is_out_of_memory
from tasks.inference.engines.transformers_engine import TransformersEngine


def limited_to(questions):
    """An engine whose memory holds a number of questions."""

    class Limited(TransformersEngine):
        def _compute(self, batch):
            if sum(map(len, batch)) > questions:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return super()._compute(batch)

    return Limited


def test_a_batch_that_runs_out_of_memory_is_halved_without_changing_answers(
    engine_of, drawn_questions, answered_alone, texts_of
):
    engine = engine_of(64, kind=limited_to(6))
    assert texts_of(engine, drawn_questions) == answered_alone
    assert engine.batch_size == 6


def test_the_last_question_of_a_split_image_may_share_a_halved_batch_with_another_image(
    engine_of, drawn_questions, answered_alone, texts_of
):
    # 21 questions in batches of 5 leave one, which fits into a batch of 2 with the only question of the other image
    questions = [*drawn_questions[:21], drawn_questions[-1]]
    engine = engine_of(5, kind=limited_to(2))
    assert texts_of(engine, questions) == {question.key: answered_alone[question.key] for question in questions}


def test_a_single_question_that_does_not_fit_into_memory_is_an_error(engine_of, drawn_questions, texts_of):
    with pytest.raises(ModelError, match="Not even one question"):
        texts_of(engine_of(4, kind=limited_to(0)), drawn_questions)


@pytest.mark.slow
def test_a_process_that_really_runs_out_of_memory_continues_with_smaller_batches(tiny_model_dir, records_and_images):
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
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_only_errors_about_memory_count_as_out_of_memory(error, expected):
    assert is_out_of_memory(error) is expected


def test_batches_hold_whole_images_or_even_parts_of_one(drawn_questions):
    batches = list(plan_batches(group_by_image(drawn_questions), BatchLimit(8).fits))
    sizes = [[len(group) for group in batch] for batch in batches]
    assert sizes == [[8], [8], [7], [7, 1], [1]]
    assert sorted(q.key for b in batches for g in b for q in g) == sorted(q.key for q in drawn_questions)


def test_the_batch_limit_counts_images_and_questions():
    limit = BatchLimit(100, size_bytes=1000, image_bytes=300, question_bytes=10)
    assert limit.fits(3, 10) and not limit.fits(3, 11) and not limit.fits(4, 1 + 1)
    assert BatchLimit(1, size_bytes=0, image_bytes=5).fits(1, 1)
