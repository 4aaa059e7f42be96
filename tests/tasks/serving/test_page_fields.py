"""Fields of the page refuse wrong values with a sentence for the sender, without a traceback in the log."""

import gradio as gr
import pytest

from tasks.serving.page_fields import bounded_number, text_only, without_traceback


@pytest.mark.parametrize(("component", "value"), [(gr.Radio(["base", "tuned"]), "other"), (gr.Slider(0, 2), 5)])
def test_an_invalid_value_is_refused_without_a_traceback(component, value):
    with pytest.raises(gr.Error) as refused:
        without_traceback(component).preprocess(value)
    assert str(value) in refused.value.message and not refused.value.print_exception


def test_a_valid_value_is_accepted():
    assert without_traceback(gr.Radio(["base", "tuned"])).preprocess("base") == "base"


WRONG = [None, "0", "", "nan", True, [0], float("nan"), float("inf"), -1, 10**40, {}]


@pytest.mark.parametrize("value", [*WRONG, 2.1])
def test_an_invalid_number_is_refused_with_a_sentence(value):
    with pytest.raises(gr.Error, match=r"temperature is .*: give a number from 0 to 2") as refused:
        bounded_number(gr.Slider(0, 2), "temperature").preprocess(value)
    assert not refused.value.print_exception


@pytest.mark.parametrize("value", [None, 1, ["Where?"], True])
def test_a_value_that_is_not_text_is_refused_with_a_sentence(value):
    with pytest.raises(gr.Error, match=r"question is .*: give a text") as refused:
        text_only(gr.Textbox(label="question")).preprocess(value)
    assert not refused.value.print_exception


def test_valid_numbers_and_texts_are_unchanged():
    assert bounded_number(gr.Slider(0, 2), "temperature").preprocess(0.5) == 0.5
    assert text_only(gr.Textbox(label="question")).preprocess("Where?") == "Where?"
