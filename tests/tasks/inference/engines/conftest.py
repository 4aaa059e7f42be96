"""Questions about shared images, and the engine that answers them in batches."""

import json
import random

import pytest
from support.chat_server import MODEL

from tasks.inference.engines.decoding import Decoding
from tasks.inference.engines.openai_engine import OpenAiEngine
from tasks.inference.engines.request_pacing import Clock
from tasks.inference.engines.transformers_engine import TransformersEngine
from tasks.inference.predict import Listener, predict
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


async def no_pause(seconds):
    """In place of a sleep: tests do not wait."""


@pytest.fixture
def ask_served(request_for, records, chat_server, monkeypatch):
    """Answer the test set by the server into `out`; returns the request. Pauses take no time."""

    monkeypatch.setattr(OpenAiEngine.__init__, "__defaults__", (Clock(sleep=no_pause),))

    def build(out="out", api=None, lines=None, asked=records, **changes):
        config = {
            "engine": "openai", "equality_sample": 0, **changes.pop("config", {}),
            "api": {"base_url": chat_server.base_url, "model": MODEL, **(api or {})},
        }  # fmt: skip
        request = request_for(asked, out=out, config=config, **changes)
        predict(request, Listener(log=(lines if lines is not None else []).append))
        return request

    return build


@pytest.fixture
def logged_answers():
    """The lines of a request's answers.jsonl by key."""

    def read(request):
        lines = (request.out / "answers.jsonl").read_text(encoding="utf-8").splitlines()
        return {row["key"]: row for row in map(json.loads, lines)}

    return read
