import dataclasses

import pytest
import torch

from tasks.errors import DataError
from tasks.inference.engines.decoding import Decoding, decode_answer, stop_tokens
from tasks.inference.engines.generation import generate_tokens
from tasks.inference.engines.prompts import encode_question
from tasks.model.images import read_image
from tasks.serving.conversation import Conversation
from tasks.serving.models import ServedModel

TEN = Decoding(10)


def answer_at_once(loaded, image, turns, length=10):
    """The answer to a complete dialogue, without a Conversation."""
    shown = loaded.processor.prepare(read_image(image))
    ids = encode_question(loaded, turns, shown, length).ids
    stops = stop_tokens(loaded)
    start = loaded.family.prefill(loaded.model, loaded.processor, ids, [shown])
    tokens = generate_tokens(loaded, start, stops, length)
    return decode_answer(loaded.processor.tokenizer, [token for token in tokens if token not in stops])


def test_a_streamed_answer_equals_the_answer_at_once(model, image):
    pieces = list(Conversation(model, image, TEN).ask("Is there a road?"))
    expected = answer_at_once(model.loaded, image, [("human", "<image>\nIs there a road?")])
    assert "".join(pieces) == expected and len(pieces) > 1


def test_a_second_question_sees_the_first_and_its_answer(model, image):
    conversation = Conversation(model, image, TEN)
    first = "".join(conversation.ask("Is there a road?"))
    second = "".join(conversation.ask("Where?"))
    turns = [("human", "<image>\nIs there a road?"), ("gpt", first), ("human", "Where?")]
    assert second == answer_at_once(model.loaded, image, turns)
    assert conversation.rounds == [("Is there a road?", first), ("Where?", second)]


def test_with_independent_history_a_second_question_does_not_see_the_first(model, image):
    conversation = Conversation(model, image, TEN, "independent")
    "".join(conversation.ask("Is there a road?"))
    second = "".join(conversation.ask("Where?"))
    assert second == answer_at_once(model.loaded, image, [("human", "<image>\nWhere?")])


def test_the_history_holds_no_special_tokens(model, image):
    conversation = Conversation(model, image, TEN)
    "".join(conversation.ask("Is there a road?"))
    assert not any(token in text for _, text in conversation.rounds for token in ("<s>", "</s>", "<pad>"))


def test_a_prompt_with_a_placeholder_shows_the_image_once(model, image):
    conversation = Conversation(model, image, TEN)
    answers = ["".join(conversation.ask(text)) for text in ("<image> a road?", "in <image> where?")]
    assert len(answers) == len(conversation.rounds) == 2


def test_characters_of_several_tokens_are_streamed_whole(model, image, monkeypatch):
    tokenizer = model.loaded.processor.tokenizer
    script = [*tokenizer.encode("Grün: 東京 🛰 da", add_special_tokens=False), tokenizer.eos_token_id]
    scripted = iter(script)

    class Parrot(torch.nn.Module):
        """The toy model, except that the next token comes from the script."""

        def __init__(self, model):
            super().__init__()
            self.model = model

        def __getattr__(self, name):
            return super().__getattr__(name) if name == "model" else getattr(self.model, name)

        def forward(self, **inputs):
            output = self.model(**inputs)
            output.logits[:, -1, next(scripted)] = 1e6
            return output

    parrot = dataclasses.replace(model.loaded, model=Parrot(model.loaded.model))
    pieces = list(Conversation(ServedModel("parrot", parrot), image, Decoding(100)).ask("Where?"))
    assert "".join(pieces) == "Grün: 東京 🛰 da" and not any("\ufffd" in piece for piece in pieces)
    # some characters are several tokens of the toy model
    assert len(script) > len("Grün: 東京 🛰 da")


def test_sampled_answers_depend_on_the_seed(model, image):
    def sampled(seed):
        return "".join(Conversation(model, image, Decoding(10, temperature=1.5, seed=seed)).ask("Where?"))

    assert sampled(1) == sampled(1) != sampled(2)


def test_a_prompt_longer_than_the_context_is_refused_and_the_conversation_continues(model, image):
    conversation = Conversation(model, image, TEN)
    with pytest.raises(DataError, match="tokens"):
        list(conversation.ask("why " * 4000))
    assert conversation.rounds == []
    assert list(conversation.ask("Is there a road?"))


def test_a_file_that_is_not_an_image_is_refused(model, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="is not a readable image"):
        Conversation(model, tmp_path / "a.png", TEN)
