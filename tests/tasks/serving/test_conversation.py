import dataclasses

import pytest
import torch

from tasks.errors import DataError
from tasks.inference.engines.batch_generation import embed_prompt, encode_images, generate_tokens
from tasks.inference.engines.decoding import Decoding
from tasks.inference.engines.prompts import encode_asked, stop_tokens, text_of
from tasks.model.images import pixels_of, read_image
from tasks.serving.conversation import Conversation
from tasks.serving.models import Speaker

TEN = Decoding(10)


@pytest.fixture
def image(images, records):
    return images / records[0]["image"]


@pytest.fixture
def speaker(lively_model):
    return Speaker("model", lively_model)


def asked_at_once(loaded, image, turns, length=10):
    """The answer to a whole dialogue, without a conversation."""
    features = encode_images(loaded.model, [pixels_of(read_image(image), loaded.image_processor)])[0]
    ids = encode_asked(loaded, turns, length)
    prompt = embed_prompt(loaded.model, ids, loaded.image_token_id, features)
    stops = stop_tokens(loaded)
    tokens = generate_tokens(loaded.model, prompt, stops, length)
    return text_of(loaded.tokenizer, [token for token in tokens if token not in stops])


def test_an_answer_in_pieces_is_the_answer_at_once(speaker, image):
    pieces = list(Conversation(speaker, image, TEN).ask("Is there a road?"))
    expected = asked_at_once(speaker.loaded, image, [("human", "<image>\nIs there a road?")])
    assert "".join(pieces) == expected and len(pieces) > 1


def test_a_second_question_sees_the_first_and_its_answer(speaker, image):
    conversation = Conversation(speaker, image, TEN)
    first = "".join(conversation.ask("Is there a road?"))
    second = "".join(conversation.ask("Where?"))
    turns = [("human", "<image>\nIs there a road?"), ("gpt", first), ("human", "Where?")]
    assert second == asked_at_once(speaker.loaded, image, turns)
    assert conversation.rounds == [("Is there a road?", first), ("Where?", second)]


def test_with_independent_history_a_second_question_is_asked_alone(speaker, image):
    conversation = Conversation(speaker, image, TEN, "independent")
    "".join(conversation.ask("Is there a road?"))
    second = "".join(conversation.ask("Where?"))
    assert second == asked_at_once(speaker.loaded, image, [("human", "<image>\nWhere?")])


def test_no_special_token_gets_into_the_history(speaker, image):
    conversation = Conversation(speaker, image, TEN)
    "".join(conversation.ask("Is there a road?"))
    assert not any(token in text for _, text in conversation.rounds for token in ("<s>", "</s>", "<pad>"))


def test_a_prompt_that_names_the_image_shows_it_once(speaker, image):
    conversation = Conversation(speaker, image, TEN)
    answers = ["".join(conversation.ask(text)) for text in ("<image> a road?", "in <image> where?")]
    assert len(answers) == len(conversation.rounds) == 2


def test_characters_of_several_tokens_come_whole(speaker, image, monkeypatch):
    tokenizer = speaker.loaded.tokenizer
    said = [*tokenizer.encode("Grün: 東京 🛰 da", add_special_tokens=False), tokenizer.eos_token_id]
    scripted = iter(said)

    class Parrot(torch.nn.Module):
        """The toy model, but the next token is the script's."""

        def __init__(self, model):
            super().__init__()
            self.model = model

        def __getattr__(self, name):
            return super().__getattr__(name) if name == "model" else getattr(self.model, name)

        def forward(self, **inputs):
            output = self.model(**inputs)
            output.logits[:, -1, next(scripted)] = 1e6
            return output

    parrot = dataclasses.replace(speaker.loaded, model=Parrot(speaker.loaded.model))
    pieces = list(Conversation(Speaker("parrot", parrot), image, Decoding(100)).ask("Where?"))
    assert "".join(pieces) == "Grün: 東京 🛰 da" and not any("\ufffd" in piece for piece in pieces)
    # each of these characters is several tokens of the toy
    assert len(said) > len("Grün: 東京 🛰 da")


def test_drawn_answers_follow_the_seed(speaker, image):
    def drawn(seed):
        return "".join(Conversation(speaker, image, Decoding(10, temperature=1.5, seed=seed)).ask("Where?"))

    assert drawn(1) == drawn(1) != drawn(2)


def test_a_dialogue_longer_than_the_model_takes_is_refused_and_can_go_on(speaker, image):
    conversation = Conversation(speaker, image, TEN)
    with pytest.raises(DataError, match="tokens"):
        list(conversation.ask("why " * 4000))
    assert conversation.rounds == []
    assert list(conversation.ask("Is there a road?"))


def test_a_file_that_is_no_image_is_refused(speaker, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="no readable image"):
        Conversation(speaker, tmp_path / "a.png", TEN)
