import pytest

from tasks.errors import DataError
from tasks.inference.conversation import Conversation
from tasks.inference.transformers_engine import TransformersEngine
from tasks.records import Question


@pytest.fixture
def image(images, records):
    return images / records[0]["image"]


def asked_by_engine(loaded, image, turns):
    question = Question(key="0:0", record=0, turn=0, image=image.name, turns=turns)
    ((answer,),) = TransformersEngine(loaded, image.parent, 1, 10).answer([question])
    return answer.text


def test_an_answer_in_pieces_is_the_engines_answer(lively_model, image):
    pieces = list(Conversation(lively_model, image, 10).ask("Is there a road?"))
    expected = asked_by_engine(lively_model, image, (("human", "<image>\nIs there a road?"),))
    assert "".join(pieces) == expected and len(pieces) > 1


def test_a_second_question_sees_the_first_and_its_answer(lively_model, image):
    conversation = Conversation(lively_model, image, 10)
    first = "".join(conversation.ask("Is there a road?"))
    second = "".join(conversation.ask("Where?"))
    turns = (("human", "<image>\nIs there a road?"), ("gpt", first), ("human", "Where?"))
    assert second == asked_by_engine(lively_model, image, turns)
    assert conversation.turns == [*turns, ("gpt", second)]


def test_no_special_token_gets_into_the_history(lively_model, image):
    conversation = Conversation(lively_model, image, 10)
    "".join(conversation.ask("Is there a road?"))
    assert not any(token in text for _, text in conversation.turns for token in ("<s>", "</s>", "<pad>"))


def test_a_dialogue_longer_than_the_model_takes_is_refused_and_can_go_on(lively_model, image):
    conversation = Conversation(lively_model, image, 10)
    with pytest.raises(DataError, match="tokens"):
        list(conversation.ask("why " * 4000))
    assert conversation.turns == []
    assert list(conversation.ask("Is there a road?"))


def test_a_file_that_is_no_image_is_refused(lively_model, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="no readable image"):
        Conversation(lively_model, tmp_path / "a.png", 10)
