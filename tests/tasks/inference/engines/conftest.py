"""Questions about shared images, and the engine that answers them in batches."""

import random

import pytest

from tasks.inference.engines.decoding import Decoding
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
    """Build an engine with the options of TransformersEngine and Decoding, or one of a subclass `kind`."""

    def build(batch_size=None, workers=1, kind=TransformersEngine, **decoding):
        return kind(lively_model, records_and_images[1], Decoding(TOKENS, **decoding), batch_size, workers)

    return build


@pytest.fixture(scope="module")
def answered_alone(engine_of, drawn_questions):
    """The answers to one prompt at a time, nothing shared, by key."""
    engine = engine_of()
    return {question.key: engine.answer_alone(question).text for question in drawn_questions}


@pytest.fixture(scope="session")
def texts_of():
    """The answers of an engine to some questions, by key."""

    def answer(engine, questions):
        return {outcome.key: outcome.text for batch in engine.answer(questions) for outcome in batch}

    return answer
