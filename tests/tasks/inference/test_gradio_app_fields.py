"""What the page refuses is told to who sent it, and is no traceback in the server's log."""

import gradio as gr
import pytest

from tasks.inference.gradio_app_fields import told_alone


@pytest.mark.parametrize(("component", "value"), [(gr.Radio(["base", "tuned"]), "other"), (gr.Slider(0, 2), 5)])
def test_a_wrong_value_is_refused_without_a_traceback(component, value):
    with pytest.raises(gr.Error) as refused:
        told_alone(component).preprocess(value)
    assert str(value) in refused.value.message and not refused.value.print_exception


def test_a_right_value_is_taken():
    assert told_alone(gr.Radio(["base", "tuned"])).preprocess("base") == "base"
