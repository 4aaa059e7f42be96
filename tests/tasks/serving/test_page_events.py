"""What the page's steps do to a talk, in orders in which they may arrive; the browser's side is tested with `serve`."""

import pytest
from PIL import Image

from tasks.serving.answers import Example
from tasks.serving.http_request import VISITOR_HEADER
from tasks.serving.models import Speaker
from tasks.serving.page_events import Events
from tasks.serving.uploads import Uploads

SETTINGS = (0, 6, True, True)


@pytest.fixture
def events(lively_model, tmp_path):
    speaker = Speaker("model", lively_model)
    Image.new("RGB", (40, 30), "green").save(tmp_path / "green.png")
    return Events([speaker, speaker], [Example(tmp_path / "green.png", "Is it green?")], Uploads(tmp_path / "uploads"))


@pytest.fixture
def talk(events, tmp_path):
    """A talk about an image, in which one question was answered."""
    talk = events.new_talk()
    events.take_image(str(tmp_path / "green.png"), talk)
    events.ask_in_page("First?", talk, *SETTINGS)
    list(events.answer_in_page(talk))
    return talk


def asked(page):
    """The questions in each chat of a page."""
    return [[message["content"] for message in chat if message["role"] == "user"] for chat in page[1:]]


def can_be_stopped(page):
    return page[0]["stop_btn"]


def test_an_answer_becomes_a_part_of_the_conversation(events, talk):
    page = events.settle(talk)
    assert asked(page) == [["First?"]] * 2 and not can_be_stopped(page)
    assert all(chat[1]["content"] for chat in page[1:])


@pytest.mark.parametrize(
    ("end", "left"),
    [
        (lambda events, talk, image: events.stop(talk), ["First?"]),
        (lambda events, talk, image: events.begin(talk), []),
        (lambda events, talk, image: events.take_image(image, talk), []),
        (lambda events, talk, image: events.take_example(0, talk), []),
        (lambda events, talk, image: events.drop_image(talk), []),
    ],
)
def test_an_answer_that_is_ended_midway_leaves_nothing(events, talk, tmp_path, end, left):
    events.ask_in_page("Second?", talk, *SETTINGS)
    answer = events.answer_in_page(talk)
    page = next(answer)
    assert asked(page) == [["First?", "Second?"]] * 2
    page = end(events, talk, str(tmp_path / "green.png"))
    assert asked(page) == [left] * 2 and not can_be_stopped(page)
    assert list(answer) == []
    assert asked(events.settle(talk)) == [left] * 2


def test_a_question_after_an_ending_is_answered_although_the_stopped_answer_still_runs(events, talk):
    events.ask_in_page("Second?", talk, *SETTINGS)
    stopped = events.answer_in_page(talk)
    next(stopped)
    events.begin(talk)
    assert can_be_stopped(events.ask_in_page("Third?", talk, *SETTINGS))
    assert list(stopped) == []
    assert can_be_stopped(events.settle(talk))
    assert len(list(events.answer_in_page(talk))) > 1
    assert asked(events.settle(talk)) == [["Third?"]] * 2


def test_a_question_that_was_stopped_while_it_waited_is_not_asked(events, talk):
    events.ask_in_page("Second?", talk, *SETTINGS)
    events.stop(talk)
    assert list(events.answer_in_page(talk)) == []
    assert asked(events.settle(talk)) == [["First?"]] * 2


def test_while_a_question_waits_another_stays_in_its_box(events, talk):
    events.ask_in_page("Second?", talk, *SETTINGS)
    page = events.ask_in_page("Third?", talk, *SETTINGS)
    assert asked(page) == [["First?", "Second?"]] * 2 and "value" not in page[0]


def test_a_question_that_is_too_long_goes_back_into_its_box(events, talk):
    import gradio

    question = ("why " * 1999).strip()
    events.ask_in_page(question, talk, *SETTINGS)
    answer = events.answer_in_page(talk)
    page = next(answer)
    assert page[0]["value"] == question and not can_be_stopped(page)
    with pytest.raises(gradio.Error, match="tokens"):
        next(answer)


def test_a_question_whose_turn_never_came_goes_back_into_its_box(events, talk):
    events.ask_in_page("Second?", talk, *SETTINGS)
    page = events.settle_failure(talk)
    assert page[0]["value"] == "Second?" and not can_be_stopped(page)
    assert asked(page) == [["First?"]] * 2


class RequestOf:
    """A request as the gate passes it on."""

    def __init__(self, visitor):
        self.headers = {VISITOR_HEADER: visitor}


def test_no_picture_is_shown_of_an_image_that_is_gone(events, talk):
    import gradio

    with Image.open(events.show_image(talk, RequestOf("ana"))) as shown:
        assert shown.size == (40, 30)
    events.drop_image(talk)
    assert events.show_image(talk, RequestOf("ana")) == gradio.skip()


def test_a_picture_is_for_the_visitor_alone_who_sees_it(talk, events):
    shown = events.show_image(talk, RequestOf("ana"))
    assert events._uploads.is_for("ana", shown) and not events._uploads.is_for("bo", shown)


@pytest.mark.parametrize("number", [None, -1, 1, 10**30, "0", True, [0]])
def test_an_example_that_there_is_not_is_refused_in_a_sentence(events, talk, number):
    import gradio

    with pytest.raises(gradio.Error, match="no such example"):
        events.take_example(number, talk)


@pytest.mark.parametrize("name", [None, "other"])
def test_a_model_that_is_not_served_is_refused_in_a_sentence(events, tmp_path, name):
    import gradio

    with pytest.raises(gradio.Error, match="give one of model") as refused:
        next(events.ask(str(tmp_path / "green.png"), "Is it green?", None, name, 0, 5))
    assert not refused.value.print_exception
