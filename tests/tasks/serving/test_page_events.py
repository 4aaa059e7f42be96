"""What page events do to the state, in the orders in which they may arrive; browsers are tested with `serve`."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tasks.serving.answers import Example
from tasks.serving.http_request import VISITOR_HEADER
from tasks.serving.models import ServedModel
from tasks.serving.page_events import Events, chat_titles
from tasks.serving.uploads import Uploads

SETTINGS = (0, 6, True, True)


@pytest.fixture
def events(lively_model, tmp_path):
    model = ServedModel("model", lively_model)
    Image.new("RGB", (40, 30), "green").save(tmp_path / "green.png")
    examples = [Example(tmp_path / "green.png", "Is it green?")]
    return Events([model, model], examples, Uploads(tmp_path / "uploads"), ["Is it red?"])


@pytest.fixture
def state(events, tmp_path):
    """The state of a page with an image and one answered question."""
    state = events.new_state()
    events.use_image(str(tmp_path / "green.png"), state)
    events.ask_in_page("First?", state, *SETTINGS)
    list(events.answer_in_page(state))
    return state


def asked(page):
    """The questions in each chat of a page."""
    return [[message["content"] for message in chat if message["role"] == "user"] for chat in page[1:]]


def can_be_stopped(page):
    return page[0]["stop_btn"]


def test_a_complete_answer_becomes_part_of_the_conversation(events, state):
    page = events.settle(state)
    assert asked(page) == [["First?"]] * 2 and not can_be_stopped(page)
    assert all(chat[1]["content"] for chat in page[1:])


def test_an_empty_answer_is_shown_as_such(events, state):
    state.rounds[0][0] = ("First?", "")
    assert events.settle(state)[1][1]["content"] == "(empty answer)"


@pytest.mark.parametrize(
    ("end", "left"),
    [
        (lambda events, state, image: events.stop(state), ["First?"]),
        (lambda events, state, image: events.restart(state), []),
        (lambda events, state, image: events.use_image(image, state), []),
        (lambda events, state, image: events.use_example(0, state), []),
        (lambda events, state, image: events.drop_image(state), []),
    ],
)
def test_an_answer_that_is_stopped_leaves_nothing(events, state, tmp_path, end, left):
    events.ask_in_page("Second?", state, *SETTINGS)
    answer = events.answer_in_page(state)
    page = next(answer)
    assert asked(page) == [["First?", "Second?"]] * 2
    page = end(events, state, str(tmp_path / "green.png"))
    assert asked(page) == [left] * 2 and not can_be_stopped(page)
    assert list(answer) == []
    assert asked(events.settle(state)) == [left] * 2


def test_a_question_is_answered_although_a_stopped_answer_still_runs(events, state):
    events.ask_in_page("Second?", state, *SETTINGS)
    stopped = events.answer_in_page(state)
    next(stopped)
    events.restart(state)
    assert can_be_stopped(events.ask_in_page("Third?", state, *SETTINGS))
    assert list(stopped) == []
    assert can_be_stopped(events.settle(state))
    assert len(list(events.answer_in_page(state))) > 1
    assert asked(events.settle(state)) == [["Third?"]] * 2


def test_a_question_stopped_while_it_waits_is_not_asked(events, state):
    events.ask_in_page("Second?", state, *SETTINGS)
    events.stop(state)
    assert list(events.answer_in_page(state)) == []
    assert asked(events.settle(state)) == [["First?"]] * 2


def test_a_second_question_stays_in_its_box_while_one_is_pending(events, state):
    events.ask_in_page("Second?", state, *SETTINGS)
    page = events.ask_in_page("Third?", state, *SETTINGS)
    assert asked(page) == [["First?", "Second?"]] * 2 and "value" not in page[0]


def test_a_question_that_is_too_long_returns_to_its_box(events, state):
    import gradio

    question = ("why " * 1999).strip()
    events.ask_in_page(question, state, *SETTINGS)
    answer = events.answer_in_page(state)
    page = next(answer)
    assert page[0]["value"] == question and not can_be_stopped(page)
    with pytest.raises(gradio.Error, match="tokens"):
        next(answer)


def test_a_question_that_was_never_started_returns_to_its_box(events, state):
    events.ask_in_page("Second?", state, *SETTINGS)
    page = events.settle_failure(state)
    assert page[0]["value"] == "Second?" and not can_be_stopped(page)
    assert asked(page) == [["First?"]] * 2


class RequestOf:
    """A request as the filter passes it on."""

    def __init__(self, visitor):
        self.headers = {VISITOR_HEADER: visitor}


def test_a_dropped_image_has_no_preview(events, state):
    import gradio

    with Image.open(events.show_image(state, RequestOf("ana"))) as shown:
        assert shown.size == (40, 30)
    events.drop_image(state)
    assert events.show_image(state, RequestOf("ana")) == gradio.skip()


def test_a_preview_is_accessible_to_its_visitor_only(state, events):
    shown = events.show_image(state, RequestOf("ana"))
    assert events._uploads.may_read("ana", shown) and not events._uploads.may_read("bo", shown)


def test_a_suggested_question_is_asked_with_the_settings(events, state):
    events.ask_suggestion(0, state, 0, 3, False, False)
    assert state.pending.asked.question == "Is it red?" and state.pending.asked.decoding.max_new_tokens == 3
    assert list(state.pending.models) == [1] and state.pending.asked.history == "independent"


@pytest.mark.parametrize("number", [None, -1, 1, "0", True])
def test_an_unknown_suggestion_is_refused_with_a_sentence(events, state, number):
    import gradio

    with pytest.raises(gradio.Error, match="no such suggestion"):
        events.ask_suggestion(number, state, *SETTINGS)


def test_a_conversation_is_saved_for_its_visitor_only(events, state):
    json_file, markdown = (update["value"] for update in events.save_conversation(state, RequestOf("ana")))
    assert (Path(json_file).name, Path(markdown).name) == ("conversation.json", "conversation.md")
    assert json.loads(Path(json_file).read_text())["rounds"][0]["question"] == "First?"
    assert Path(markdown).read_text().startswith("# Conversation about green.png")
    assert events._uploads.may_read("ana", json_file) and not events._uploads.may_read("bo", json_file)


def test_a_conversation_without_an_answer_cannot_be_saved(events, state):
    events.restart(state)
    events.ask_in_page("Second?", state, *SETTINGS)
    assert [update["visible"] for update in events.save_conversation(state, RequestOf("ana"))] == [False, False]


def test_the_titles_say_which_model_is_which_by_its_name(lively_model):
    models = [ServedModel(name, lively_model, title=title) for name, title in (("base", "llava-hf/7b"), ("tuned", ""))]
    assert chat_titles(models) == ["Base model: llava-hf/7b", "Tuned model"]


@pytest.mark.parametrize("number", [None, -1, 1, 10**30, "0", True, [0]])
def test_an_unknown_example_is_refused_with_a_sentence(events, state, number):
    import gradio

    with pytest.raises(gradio.Error, match="no such example"):
        events.use_example(number, state)


@pytest.mark.parametrize("name", [None, "other"])
def test_an_unknown_model_is_refused_with_a_sentence(events, tmp_path, name):
    import gradio

    with pytest.raises(gradio.Error, match="give one of model") as refused:
        next(events.ask(str(tmp_path / "green.png"), "Is it green?", None, name, 0, 5))
    assert not refused.value.print_exception
