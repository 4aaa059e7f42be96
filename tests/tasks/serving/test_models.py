import threading
from contextlib import ExitStack

import pytest

from tasks.errors import ModelError
from tasks.inference.engines.decoding import Decoding
from tasks.model.adapters import read_non_lora
from tasks.model.loading import load_model
from tasks.serving.conversation import Conversation
from tasks.serving.models import Speaker, load_speakers

QUESTION = "Is it a rural or an urban area"


@pytest.fixture
def image(images, records):
    return images / records[0]["image"]


@pytest.fixture(scope="module")
def pair(tuned_pair):
    return load_speakers(*tuned_pair)


@pytest.fixture(scope="module")
def alone(tuned_pair):
    """Base and tuned model, each loaded for itself."""
    base, adapter = tuned_pair
    return Speaker("base", load_model(base)), Speaker("tuned", load_model(base, adapter))


def answer(speaker, image):
    return "".join(Conversation(speaker, image, Decoding(12)).ask(QUESTION))


def test_both_answer_from_one_memory_as_each_does_alone(pair, alone, image):
    expected = [answer(speaker, image) for speaker in alone]
    assert expected[0] != expected[1]
    assert [speaker.name for speaker in pair] == ["base", "tuned"]
    assert pair[0].loaded.model is pair[1].loaded.model
    # in any order and again
    for place in (1, 0, 0, 1, 0):
        assert answer(pair[place], image) == expected[place]


def test_an_adapter_that_is_none_is_named(tuned_pair, tmp_path):
    with pytest.raises(ModelError, match=r"none lacks adapter_config\.json: give a complete checkpoint"):
        load_speakers(tuned_pair[0], tmp_path / "none")


def test_both_may_answer_in_turn_token_by_token(pair, alone, image):
    running = [Conversation(speaker, image, Decoding(12)).ask(QUESTION) for speaker in pair]
    texts = ["", ""]
    for pieces in zip(*running, strict=False):
        texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
    expected = [answer(speaker, image) for speaker in alone]
    assert all(text and whole.startswith(text) for whole, text in zip(expected, texts, strict=True))


def test_the_base_has_its_own_projector(pair, alone, tuned_pair):
    (trained,) = (value for name, value in read_non_lora(tuned_pair[1]).items() if name.endswith("linear_2.weight"))
    for speaker, other in zip(pair, alone, strict=True):
        with speaker.at_work():
            weights = second_layer(speaker).clone()
        assert weights.equal(second_layer(other)) and weights.equal(trained) == (speaker.name == "tuned")


def second_layer(speaker):
    named = speaker.loaded.model.named_parameters()
    return next(value for name, value in named if name.endswith("projector.linear_2.weight"))


def test_who_waits_for_the_model_gets_it_as_asked(pair, alone, image):
    """Threads that ask both models at once get what each says alone."""
    expected = [answer(speaker, image) for speaker in alone]
    got = {}
    threads = [threading.Thread(target=lambda n=n: got.__setitem__(n, answer(pair[n % 2], image))) for n in range(4)]
    with ExitStack() as stack:
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
    assert got == {n: expected[n % 2] for n in range(4)}
