"""Input checks of the page's fields: a refusal is shown to its sender and leaves no traceback in the server's log."""

from collections.abc import Callable
from typing import TypeVar

import gradio as gr
from gradio.blocks import Block

from tasks.serving.request_checks import Endpoint, Kind

Field = TypeVar("Field", bound=gr.components.Component)


def without_traceback(component: Field) -> Field:
    """The component; values that it refuses are not logged."""
    check = component.preprocess

    def preprocess(payload: object) -> object:
        try:
            return check(payload)
        except gr.Error as error:
            error.print_exception = False
            raise

    return _with_preprocess(component, preprocess)


def bounded_number(slider: gr.Slider, name: str) -> gr.Slider:
    """The slider; it refuses everything but a number within its bounds."""
    low, high = slider.minimum, slider.maximum

    def preprocess(payload: object) -> float:
        if not isinstance(payload, int | float) or isinstance(payload, bool) or not low <= payload <= high:
            raise _refusal(f"{name} is {_describe(payload)}: give a number from {low} to {high}.")
        return payload

    return _with_preprocess(slider, preprocess)


def text_only(box: gr.Textbox) -> gr.Textbox:
    """The box; it refuses everything but text."""

    def preprocess(payload: object) -> str:
        if not isinstance(payload, str):
            raise _refusal(f"{box.label} is {_describe(payload)}: give a text.")
        return payload

    return _with_preprocess(box, preprocess)


def endpoints_of(page: gr.Blocks) -> list[Endpoint]:
    """The page's functions and their inputs."""
    return [
        Endpoint(
            number=number,
            name=fn.api_name if fn.api_visibility == "public" and isinstance(fn.api_name, str) else None,
            is_queued=fn.queue,
            kinds=[_kind_of(block) for block in fn.inputs],
        )
        for number, fn in page.fns.items()
    ]


def _kind_of(block: Block) -> Kind:
    if isinstance(block, gr.State):
        return "state"
    return "image" if isinstance(block, gr.Image) else "plain"


def _with_preprocess(component: Field, preprocess: Callable[[object], object]) -> Field:
    # set on the object: for a subclass Gradio would write a file next to this one
    vars(component).update(preprocess=preprocess)
    return component


def _refusal(sentence: str) -> gr.Error:
    return gr.Error(sentence, print_exception=False)


def _describe(payload: object) -> str:
    if isinstance(payload, int | float):
        return str(payload)
    return "missing" if payload is None else "not a " + ("number" if isinstance(payload, str) else "single value")
