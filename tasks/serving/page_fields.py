"""What the page's fields take: what they refuse is told to who sent it, and is no traceback in the server's log."""

import math
from collections.abc import Callable
from typing import Any

import gradio as gr

from tasks.serving.request_checks import Endpoint, Kind


def told_alone(component: Any) -> Any:
    """The component; what it refuses is told to who sent it alone."""
    check = component.preprocess

    def preprocess(payload: Any) -> Any:
        try:
            return check(payload)
        except gr.Error as error:
            error.print_exception = False
            raise

    return _checked(component, preprocess)


def number_within(slider: gr.Slider, name: str) -> Any:
    """The slider; it takes nothing but a number within its bounds."""

    def preprocess(payload: Any) -> float:
        is_number = isinstance(payload, int | float) and not isinstance(payload, bool) and math.isfinite(payload)
        if not is_number or not slider.minimum <= payload <= slider.maximum:
            raise _refusal(f"{name} is {_shown(payload)}: give a number from {slider.minimum} to {slider.maximum}.")
        return payload

    return _checked(slider, preprocess)


def text_alone(box: gr.Textbox) -> Any:
    """The box; it takes nothing but text."""

    def preprocess(payload: Any) -> str:
        if not isinstance(payload, str):
            raise _refusal(f"{box.label} is {_shown(payload)}: give a text.")
        return payload

    return _checked(box, preprocess)


def endpoints_of(page: gr.Blocks) -> list[Endpoint]:
    """The page's functions and what they take."""
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


def _checked(component: Any, preprocess: Callable[[Any], Any]) -> Any:
    # on the object: Gradio would write a file beside a class of our own
    vars(component).update(preprocess=preprocess)
    return component


def _refusal(sentence: str) -> gr.Error:
    return gr.Error(sentence, print_exception=False)


def _shown(payload: Any) -> str:
    if isinstance(payload, int | float):
        return str(payload)
    return "missing" if payload is None else "no " + ("number" if isinstance(payload, str) else "single value")
