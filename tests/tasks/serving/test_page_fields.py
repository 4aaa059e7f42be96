"""What the page refuses is told to who sent it, and is no traceback in the server's log."""

import gradio as gr
import pytest

from tasks.serving.page_fields import number_within, text_alone, told_alone


@pytest.mark.parametrize(("component", "value"), [(gr.Radio(["base", "tuned"]), "other"), (gr.Slider(0, 2), 5)])
def test_a_wrong_value_is_refused_without_a_traceback(component, value):
    with pytest.raises(gr.Error) as refused:
        told_alone(component).preprocess(value)
    assert str(value) in refused.value.message and not refused.value.print_exception


def test_a_right_value_is_taken():
    assert told_alone(gr.Radio(["base", "tuned"])).preprocess("base") == "base"


WRONG = [None, "0", "", "nan", True, [0], float("nan"), float("inf"), -1, 10**40, {}]


@pytest.mark.parametrize("value", [*WRONG, 2.1])
def test_a_number_that_is_none_is_refused_in_a_sentence(value):
    with pytest.raises(gr.Error, match=r"temperature is .*: give a number from 0 to 2") as refused:
        number_within(gr.Slider(0, 2), "temperature").preprocess(value)
    assert not refused.value.print_exception


@pytest.mark.parametrize("value", [None, 1, ["Where?"], True])
def test_a_text_that_is_none_is_refused_in_a_sentence(value):
    with pytest.raises(gr.Error, match=r"question is .*: give a text") as refused:
        text_alone(gr.Textbox(label="question")).preprocess(value)
    assert not refused.value.print_exception


def test_numbers_and_texts_are_taken_as_they_are():
    assert number_within(gr.Slider(0, 2), "temperature").preprocess(0.5) == 0.5
    assert text_alone(gr.Textbox(label="question")).preprocess("Where?") == "Where?"
