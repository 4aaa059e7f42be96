"""Input checks of the page's fields: a refusal is shown to its sender and leaves no traceback in the server's log."""

import math
from collections.abc import Callable
from typing import Any

import gradio as gr

from tasks.serving.request_checks import Endpoint, Kind


def without_traceback(component: Any) -> Any:
    """The component; values that it refuses are not logged."""
    check = component.preprocess

    def preprocess(payload: Any) -> Any:
        try:
            return check(payload)
        except gr.Error as error:
            error.print_exception = False
            raise

    return _with_preprocess(component, preprocess)


def bounded_number(slider: gr.Slider, name: str) -> Any:
    """The slider; it refuses everything but a number within its bounds."""

    def preprocess(payload: Any) -> float:
        is_number = isinstance(payload, int | float) and not isinstance(payload, bool) and math.isfinite(payload)
        if not is_number or not slider.minimum <= payload <= slider.maximum:
            raise _refusal(f"{name} is {_describe(payload)}: give a number from {slider.minimum} to {slider.maximum}.")
        return payload

    return _with_preprocess(slider, preprocess)


def text_only(box: gr.Textbox) -> Any:
    """The box; it refuses everything but text."""

    def preprocess(payload: Any) -> str:
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


def _kind_of(block: Any) -> Kind:
    if isinstance(block, gr.State):
        return "state"
    return "image" if isinstance(block, gr.Image) else "plain"


def _with_preprocess(component: Any, preprocess: Callable[[Any], Any]) -> Any:
    # set on the object: for a subclass Gradio would write a file next to this one
    vars(component).update(preprocess=preprocess)
    return component


def _refusal(sentence: str) -> gr.Error:
    return gr.Error(sentence, print_exception=False)


def _describe(payload: Any) -> str:
    if isinstance(payload, int | float):
        return str(payload)
    return "missing" if payload is None else "not a " + ("number" if isinstance(payload, str) else "single value")
