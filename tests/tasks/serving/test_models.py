import threading
from contextlib import ExitStack

import pytest

from tasks.errors import ModelError
from tasks.inference.engines.decoding import Decoding
from tasks.model.adapters import read_non_lora
from tasks.model.loading import load_model
from tasks.serving.conversation import Conversation
from tasks.serving.models import ServedModel, load_served_models

QUESTION = "Is it a rural or an urban area"


@pytest.fixture(scope="module")
def pair(tuned_pair):
    return load_served_models(*tuned_pair)


@pytest.fixture(scope="module")
def alone(tuned_pair):
    """Base and tuned model, loaded separately."""
    base, adapter = tuned_pair
    return ServedModel("base", load_model(base)), ServedModel("tuned", load_model(base, adapter))


def answer(model, image):
    return "".join(Conversation(model, image, Decoding(12)).ask(QUESTION))


def test_models_that_share_weights_answer_as_if_loaded_separately(pair, alone, image):
    expected = [answer(model, image) for model in alone]
    assert expected[0] != expected[1]
    assert [model.name for model in pair] == ["base", "tuned"]
    assert [model.title for model in pair] == ["tiny-llava", "checkpoint-300"]
    assert pair[0].loaded.model is pair[1].loaded.model
    # in any order, and repeatedly
    for index in (1, 0, 0, 1, 0):
        assert answer(pair[index], image) == expected[index]


def test_a_missing_adapter_is_refused_by_name(tuned_pair, tmp_path):
    with pytest.raises(ModelError, match=r"none lacks adapter_config\.json: give a complete checkpoint"):
        load_served_models(tuned_pair[0], tmp_path / "none")


def test_base_and_tuned_model_may_alternate_for_each_token(pair, alone, image):
    running = [Conversation(model, image, Decoding(12)).ask(QUESTION) for model in pair]
    texts = ["", ""]
    for pieces in zip(*running, strict=False):
        texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
    expected = [answer(model, image) for model in alone]
    assert all(text and complete.startswith(text) for complete, text in zip(expected, texts, strict=True))


def test_the_base_keeps_its_own_projector(pair, alone, tuned_pair):
    (trained,) = (value for name, value in read_non_lora(tuned_pair[1]).items() if name.endswith("linear_2.weight"))
    for model, other in zip(pair, alone, strict=True):
        with model.activate():
            weights = second_layer(model).clone()
        assert weights.equal(second_layer(other)) and weights.equal(trained) == (model.name == "tuned")


def second_layer(model):
    named = model.loaded.model.named_parameters()
    return next(value for name, value in named if name.endswith("projector.linear_2.weight"))


def test_threads_that_use_both_models_get_the_right_answers(pair, alone, image):
    expected = [answer(model, image) for model in alone]
    got = {}
    threads = [threading.Thread(target=lambda n=n: got.__setitem__(n, answer(pair[n % 2], image))) for n in range(4)]
    with ExitStack() as stack:
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
    assert got == {n: expected[n % 2] for n in range(4)}
